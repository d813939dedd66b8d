"""Tokens, references and uris: exact texts among the terms.

Source: FHIR R4 search.html#token, #reference, #uri.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.search.parameters import SearchParameter
from fhir_server.search.query import Clause, ReferenceValue, TokenValue
from fhir_server.search.types.token import OF_TYPE
from fhir_server.stores.mongo.conditions.parts import (
    NEVER,
    Filter,
    Test,
    any_of,
    begins,
    between,
    term_filter,
)
from fhir_server.stores.mongo.fields import (
    AFTER,
    arm,
    reference_stem,
    reference_term,
    system_stem,
    token_term,
    uri_term,
)
from fhir_server.stores.mongo.shards import SUBJECT_KEYS, patient_key

_PATIENT = "Patient"


def token(type: str, clause: Clause) -> Test:
    """``code``, ``system|code``, ``|code``, ``system|``."""
    return _found([_token(clause.parameter, key, value) for key, value in _pairs(clause)])


def _token(parameter: SearchParameter, key: int, value: TokenValue) -> Filter | None:
    system = value.system
    if parameter.system is not None:
        if system not in {None, parameter.system}:
            return None
        system = parameter.system
    if value.code is None:
        return {"k": begins(system_stem(key, system or ""))}
    return term_filter([token_term(key, value.code, system)])


def reference(type: str, clause: Clause) -> Test:
    """``Patient/1``, ``1``, a URL."""
    wanted = [_typed(clause.parameter, value) for value in clause.values]
    found = _found(
        [_reference(key, value) for key in clause.parameter.keys for value in wanted if value is not None]
    )
    return found._replace(shards=_shards(type, clause.parameter, wanted))


def _typed(parameter: SearchParameter, value: ReferenceValue) -> ReferenceValue | None:
    """``value`` with the one type that the parameter is restricted to; None when it is of another."""
    target = parameter.target
    if target is None:
        return value
    return ReferenceValue(target, value.id) if value.type in {None, target} else None


def _reference(key: int, value: ReferenceValue) -> Filter:
    if value.type is None:
        return {"k": begins(reference_stem(key, value.id))}
    return term_filter([reference_term(key, value.id, value.type)])


def _shards(
    type: str, parameter: SearchParameter, wanted: list[ReferenceValue | None]
) -> frozenset[str] | None:
    """The shards of the patients that the subjects of the resources must be."""
    if parameter.keys != (SUBJECT_KEYS.get(type),):
        return None
    known = [value for value in wanted if value is not None]
    if any(value.type != _PATIENT or "/" in value.id for value in known):
        return None
    return frozenset([patient_key(value.id) for value in known])


def uri(type: str, clause: Clause) -> Test:
    """A uri, byte by byte."""
    return _found([term_filter([uri_term(key, value.uri)]) for key, value in _pairs(clause)])


def below(type: str, clause: Clause) -> Test:
    """``:below``: the uri itself and everything under it as a path."""
    exact = [term_filter([uri_term(key, value.uri)]) for key, value in _pairs(clause)]
    return _found([*exact, *({"k": begins(uri_term(key, value.uri) + "/")} for key, value in _pairs(clause))])


def differs(type: str, clause: Clause) -> Test:
    """``ne`` of ``_filter``: some token is another one than each value; those of identifier types do not count."""
    return _found([each for key, value in _pairs(clause) for each in _others(clause.parameter, key, value)])


def _others(parameter: SearchParameter, key: int, value: TokenValue) -> Iterator[Filter]:
    """Terms of ``key`` that are not ``value``."""
    own, system, code = parameter.system, value.system, value.code
    if own is not None:
        stem = system_stem(key, own)
        if system not in {None, own}:
            yield {"k": begins(stem)}
        elif code is not None:
            yield {"k": between(stem, stem + AFTER, **{"$ne": token_term(key, code, own)})}
    elif system is None:
        if code is not None:
            yield {"k": between(f"{arm(key)}:", f"{arm(key)}:{AFTER}", **{"$ne": token_term(key, code)})}
    else:
        yield from _of_other_systems(key, system)
        if code is not None:
            stem = system_stem(key, system)
            yield {"k": between(stem, stem + AFTER, **{"$ne": token_term(key, code, system)})}


def _of_other_systems(key: int, system: str) -> Iterator[Filter]:
    """Tokens of every system but ``system`` and the types of identifiers."""
    low = f"{arm(key)}="
    for stem in sorted([system_stem(key, system), f"{low}{OF_TYPE}"]):
        yield {"k": between(low, stem)}
        low = stem + AFTER
    yield {"k": between(low, f"{arm(key)}={AFTER}")}


def _found(filters: list[Filter] | list[Filter | None]) -> Test:
    tests = [Test(each, is_typed=True) for each in filters if each is not None]
    return any_of(tests) if tests else NEVER


def _pairs(clause: Clause) -> Iterator[tuple[int, Any]]:
    for key in clause.parameter.keys:
        for value in clause.values:
            yield key, value
