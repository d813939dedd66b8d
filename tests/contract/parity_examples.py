"""Examples of what two servers are asked: a stock, questions about it, writes, and questions again.

An example is a value. All of it is drawn before anything is asked, so that what is drawn depends on no answer, and it
can be played any number of times. The times of its writes are known only then: ``MOMENT0`` in a URL stands for the
moment at which the stock was there, ``MOMENT1`` for that after the first write, ``MINUTE0`` for the minute of
the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import as_if_large
import orjson
from hypothesis import currently_in_test_context, event, note
from hypothesis import strategies as st
from parity_aims import aims
from parity_kit import Pair, Request
from parity_requests import (
    CHANGES,
    EVERYTHING,
    TYPES,
    bundle,
    disturbances,
    histories,
    reads,
    searches,
)
from parity_sample import SAMPLE
from random_resources import IDS, stocks
from test_search_property import extract

from fhir_server.search.match import Indexed

Json = dict[str, Any]
Stock = dict[tuple[str, str], Json]
Step = tuple[float, Request]
"""A write, and the seconds before it."""

KEY = re.compile(r'"fullUrl":"http://fhir.test/fhir/((?:' + "|".join(TYPES) + r')/[^"/]+)"')
REFERENCE = re.compile(rb'"reference":"([A-Z][A-Za-z]+)/r([0-9])"')


LONGEST = 20_000
"""Characters that are shown of an example; hypothesis warns of 30,000 instead of telling what failed."""


@dataclass(frozen=True)
class Example:
    """``aims`` (kind → search, see ``parity_aims``) are asked before ``steps``, and after them with what is written
    ``between`` the first and the second page; ``others`` after them only, each with what is written between its pages.
    ``is_large``: both engines search as in a large database."""

    stock: Stock
    is_large: bool
    aims: dict[str, Request]
    steps: Sequence[Step]
    between: dict[str, Request]
    others: Sequence[tuple[Request, Sequence[Step]]]

    def __repr__(self) -> str:
        """Short enough for people: what is asked is told by notes, what failed by the AssertionError."""
        large = "as if large, " if self.is_large else ""
        text = f"{large}stock {orjson.dumps(list(self.stock.values())).decode()}, steps {self.steps}"
        return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


# ── drawing ───────────────────────────────────────────────────────────────────

PAUSES = st.sampled_from((0.0, 0.0, 0.001, 1.0, 90.0))
"""Seconds between two writes: often none, so that order does not come from the time."""
STEPS = st.lists(st.tuples(PAUSES, CHANGES), min_size=1, max_size=6)
BETWEEN = st.one_of(st.just([]), st.lists(st.tuples(PAUSES, CHANGES), max_size=3))


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Random ones."""
    return draw(examples_of(completed(draw(stocks(TYPES)), draw(st.sampled_from(IDS)))))


@st.composite
def examples_of(draw: st.DrawFn, stock: Stock) -> Example:
    """Random ones that begin with ``stock``."""
    resources = indexed(stock)
    is_large = draw(st.booleans())
    asked = draw(aims(resources))
    steps = draw(STEPS)
    moments = [f"MOMENT{number}" for number in range(len(steps) + 1)]
    get = EVERYTHING.map(lambda url: Request("GET", url))
    question = st.one_of(*[searches(resources, moments)] * 3, *[histories(moments)] * 2, reads(), get)
    others = [(draw(question), draw(BETWEEN)) for _ in range(4)]
    writes = {type: draw(disturbances(type)) for type in TYPES}
    between = {kind: writes[_type_of(aim.url)] for kind, aim in asked.items()}
    return Example(stock, is_large, asked, steps, between, others)


def _type_of(url: str) -> str:
    """The type that ``url`` is about, or one that is in every record."""
    last = url.partition("?")[0].rpartition("/")[2]
    return last if last in TYPES else "Observation"


def indexed(stock: Stock) -> list[Indexed]:
    """The stock as it can be searched."""
    return [Indexed(*key, 0, extract(key[0], orjson.dumps(data))) for key, data in stock.items()]


# ── stocks ────────────────────────────────────────────────────────────────────


def completed(stock: Stock, id: str) -> Stock:
    """``stock`` with those of the ``SAMPLE`` that have this ``id`` and are not in it: what random resources seldom say
    is there too. References lead to what is there, where there is anything of their type."""
    whole = {**{key: data for key, data in SAMPLE.items() if key[1] == id}, **stock}
    ids = {type: sorted(id for of, id in whole if of == type) for type in TYPES}

    def there(found: re.Match[bytes]) -> bytes:
        type, known = found[1].decode(), ids.get(found[1].decode())
        return f'"reference":"{type}/{known[int(found[2]) % len(known)]}"'.encode() if known else found[0]

    return {key: orjson.loads(REFERENCE.sub(there, orjson.dumps(data))) for key, data in whole.items()}


# ── playing ───────────────────────────────────────────────────────────────────


async def play(pair: Pair, example: Example) -> None:
    """Raises AssertionError when the two servers of ``pair`` differ in any answer."""
    _tell(note, repr(example))
    await hold(pair, example.stock)
    moments = [pair.clock()]
    with searching(pair, is_large=example.is_large):
        await ask_aims(pair, example.aims, moments, surely=True)
        for step in example.steps:
            await _change(pair, step)
            moments.append(pair.clock())
        await ask_aims(pair, example.aims, moments, example.between)
        for request, between in example.others:
            steps = iter(between)
            pages = await pair.pages(
                at(request, moments), lambda steps=steps: _change(pair, next(steps, None))
            )
            _tell(event, f"asked: {pages[0].status}, {min(len(pages), 3)} pages")


def searching(pair: Pair, *, is_large: bool) -> ExitStack:
    """Have the engines search as in a large database, or as they are; nothing is remembered of searches that were done
    otherwise."""
    stack = ExitStack()
    if is_large:
        stack.enter_context(as_if_large.as_if_large(as_if_large.SQLITE, as_if_large.MONGO))
    for side in pair.sides:
        side.forget()
    return stack


async def ask_aims(
    pair: Pair,
    asked: Mapping[str, Request],
    moments: Sequence[datetime],
    between: Mapping[str, Request] | None = None,
    *,
    surely: bool = False,
) -> None:
    """Ask ``asked``, with what is written ``between`` the first and the second page of each. ``surely``: something must
    be found."""
    for kind, request in asked.items():
        _tell(note, f"{kind}: {request.url}")
        writes = iter([(0.0, between[kind])] if between else [])
        pages = await pair.pages(
            at(request, moments), lambda writes=writes: _change(pair, next(writes, None))
        )
        assert not surely or pages[0].resource.get("entry"), f"{kind}: {request.url} finds nothing"


async def _change(pair: Pair, step: Step | None) -> None:
    if step is not None:
        pair.clock.advance(seconds=step[0])
        answer = await pair.ask(step[1])
        _tell(event, f"{step[1].method}: {answer.status}")


def _tell(how: Callable[[str], None], text: str) -> None:
    if currently_in_test_context():
        how(text)


def at(request: Request, moments: Sequence[datetime]) -> Request:
    """``request`` with the ``moments`` for what stands for them."""
    url = re.sub(
        r"MOMENT(\d+)", lambda found: instant(moments[min(int(found[1]), len(moments) - 1)]), request.url
    )
    return replace(request, url=url.replace("MINUTE0", f"{instant(moments[0])[:16]}Z"))


def instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def hold(pair: Pair, stock: Stock) -> None:
    """Remove for good what has been written since the ``hold`` before, and put ``stock``. It is the next whole hour
    then: an example must not depend on those before it."""
    left: dict[str, None] = {}
    for page in await pair.pages(Request("GET", f"_history?_count=1000&_since={instant(pair.held)}")):
        left |= dict.fromkeys(KEY.findall(page.body.decode()))
    purges = [{"request": {"method": "POST", "url": f"{key}/$purge"}} for key in left]
    await _send(pair, "batch", purges)
    pair.clock.moment = pair.clock.moment.replace(minute=0, second=0, microsecond=0)
    pair.clock.advance(hours=1)
    pair.held = pair.clock()
    puts = [
        {"request": {"method": "PUT", "url": "/".join(key)}, "resource": data} for key, data in stock.items()
    ]
    await _send(pair, "transaction", puts)


async def _send(pair: Pair, kind: str, entries: list[Json]) -> None:
    answer = await pair.ask(bundle(kind, entries))
    done = [entry["response"]["status"][:1] for entry in answer.resource.get("entry", ())]
    assert set(done) <= {"2"}, answer.body


__all__ = ["Example", "ask_aims", "examples", "examples_of", "hold", "play"]
