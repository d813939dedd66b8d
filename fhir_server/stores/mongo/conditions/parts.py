"""What a criterion becomes: a filter of ``resource`` documents and, where other documents decide, stages before it.

Which index serves a filter, MongoDB decides by trying; what a filter says in one item of an array (``$elemMatch``) can
be the bounds of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from fhir_server.stores.mongo.fields import AFTER

Filter = Mapping[str, Any]
Stages = tuple[Filter, ...]

MOST_SHARDS: Final = 100
"""More patients than this are not named by their shards."""


class Test(NamedTuple):
    """``where`` is true of what satisfies a criterion, after ``stages`` have looked at other documents.

    ``is_typed``: only a resource of the type that is not deleted can. ``shards``: the shard keys of all that can, None
    when they are not known. ``depth``: how deep looks at other documents are nested in ``stages``.
    """

    where: Filter
    is_typed: bool = False
    shards: frozenset[str] | None = None
    stages: Stages = ()
    depth: int = 0


ALWAYS: Final = Test({})
NEVER: Final = Test({"k": {"$in": []}}, is_typed=True)


def any_of(tests: Sequence[Test]) -> Test:
    """True when one of ``tests`` is."""
    if len(tests) == 1:
        return tests[0]
    if not tests:
        return NEVER
    shards = [test.shards for test in tests if test.shards is not None]
    return Test(
        any_filter([test.where for test in tests]),
        all(test.is_typed for test in tests),
        frozenset().union(*shards) if len(shards) == len(tests) else None,
        _stages(tests),
        max(test.depth for test in tests),
    )


def all_of(tests: Sequence[Test]) -> Test:
    """True when all of ``tests`` are."""
    if len(tests) == 1:
        return tests[0]
    shards = [test.shards for test in tests if test.shards is not None]
    return Test(
        all_filter([test.where for test in tests]),
        any(test.is_typed for test in tests),
        frozenset.intersection(*shards) if shards else None,
        _stages(tests),
        max((test.depth for test in tests), default=0),
    )


def negated(test: Test) -> Test:
    """True when ``test`` is not."""
    return Test({"$nor": [test.where]}, stages=test.stages, depth=test.depth)


def any_filter(filters: Sequence[Filter]) -> Filter:
    """One of ``filters``, which are not empty; terms become one list, so that one index scan finds them in order."""
    terms = [_terms(each) for each in filters]
    exact = list(dict.fromkeys(chain.from_iterable(each for each in terms if each is not None)))
    others = [each for each, found in zip(filters, terms, strict=True) if found is None]
    if exact or not others:
        others.insert(0, term_filter(exact))
    return others[0] if len(others) == 1 else {"$or": others}


def all_filter(filters: Sequence[Filter]) -> Filter:
    """All of ``filters``."""
    found = [each for each in filters if each]
    if len(found) == 1:
        return found[0]
    return {"$and": found} if found else {}


def term_filter(terms: Sequence[str]) -> Filter:
    """One of ``terms`` is there."""
    return {"k": terms[0] if len(terms) == 1 else {"$in": list(terms)}}


def begins(stem: str) -> Filter:
    """An item of a list of texts begins with ``stem``."""
    return between(stem, stem + AFTER)


def between(low: str, high: str, **more: Any) -> Filter:
    """An item of a list of texts is in ``[low, high)`` and ``more``."""
    return {"$elemMatch": {"$gte": low, "$lt": high, **more}}


def _terms(where: Filter) -> Sequence[str] | None:
    """The terms one of which ``where`` asks for; None when it asks for something else."""
    if len(where) != 1 or "k" not in where:
        return None
    asked = where["k"]
    if isinstance(asked, str):
        return (asked,)
    found: Sequence[str] | None = asked.get("$in")
    return found


def _stages(tests: Sequence[Test]) -> Stages:
    return tuple(stage for test in tests for stage in test.stages)
