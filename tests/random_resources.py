"""Random resources made from the definitions, small and out of few values, so that they have much in common.

They need not be valid: what is looked for are resources whose every element can be met by a search.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from fhir_server.definitions import Definitions, load_definitions

Json = dict[str, Any]

TYPES = ("Patient", "Observation", "Encounter", "Organization", "ValueSet")
"""What is made: people, numbers and composites, periods, trees of resources, URLs."""

IDS = ("r0", "r1", "r2")
UCUM = "http://unitsofmeasure.org"
LEFT_OUT = frozenset(
    {
        "id",
        "text",
        "contained",
        "extension",
        "modifierExtension",
        "implicitRules",
        "language",
        "link",
        "compose",
    }
)
DEPTH = 3
"""Elements inside each other that are filled."""

# ── values of data types ──────────────────────────────────────────────────────

TEXTS = st.sampled_from(["张伟", "张三丰", "李", "Anna", "anna b", "Zoë", "Ｚoe", "weiß", "𠮷野"])
CODES = st.sampled_from(["final", "active", "female", "a", "B"])
SYSTEMS = st.sampled_from(["http://s.example/1", "http://s.example/2"])
URIS = st.sampled_from(["http://u.example/x", "http://u.example/x/y", "http://u.example/xy", "urn:oid:1.2.3"])
DATES = st.sampled_from(["2020", "2020-02", "2020-02-03", "2020-02-29", "1969-12-31", "2021-01-01"])
MOMENTS = st.sampled_from(
    [
        "2020-02-03T00:00:00+08:00",
        "2020-02-03T23:59:59Z",
        "2020-02-03T10:30:00.123+08:00",
        "1969-12-31T12:00:00Z",
    ]
)
NUMBERS = st.sampled_from([0, 1, -1, 5.4, 5.35, 5.449, 100, 0.0054, 73.98388186765422])

PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.sampled_from([0, 1, 5]),
    "positiveInt": st.sampled_from([1, 5]),
    "unsignedInt": st.sampled_from([0, 5]),
    "decimal": NUMBERS,
    "date": DATES,
    "dateTime": st.one_of(DATES, MOMENTS),
    "instant": MOMENTS,
    "time": st.just("10:00:00"),
    "code": CODES,
    **dict.fromkeys(("uri", "url", "canonical", "oid", "uuid"), URIS),
    "base64Binary": st.just("AAAA"),
}


def _without_none(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """An object of these members, each of which may be left out."""
    return st.fixed_dictionaries({}, optional=members)


CODING = _without_none(system=SYSTEMS, code=CODES, display=TEXTS)
CONCEPT = _without_none(coding=st.lists(CODING, min_size=1, max_size=2), text=TEXTS)
PERIOD = _without_none(start=PRIMITIVES["dateTime"], end=PRIMITIVES["dateTime"])
IDENTIFIER = _without_none(system=SYSTEMS, value=CODES, type=CONCEPT)
QUANTITY = st.one_of(
    st.builds(lambda value: {"value": value, "system": UCUM, "code": "mg", "unit": "mg"}, NUMBERS),
    st.builds(lambda value: {"value": value, "system": UCUM, "code": "g"}, NUMBERS),
    _without_none(value=NUMBERS, unit=st.just("次"), comparator=st.sampled_from(["<", ">="])),
)
COMPLEX: dict[str, st.SearchStrategy[Any]] = {
    "Coding": CODING,
    "CodeableConcept": CONCEPT,
    "Period": PERIOD,
    "Identifier": IDENTIFIER,
    **dict.fromkeys(("Quantity", "Age", "Duration", "Count", "Distance"), QUANTITY),
    "SampledData": st.builds(
        lambda origin, data: {"origin": origin, "data": data}, QUANTITY, st.sampled_from(["1 2.5 E", "U 5.4"])
    ),
    "Range": _without_none(low=QUANTITY, high=QUANTITY),
    "Meta": _without_none(tag=st.lists(CODING, max_size=1), profile=st.lists(URIS, max_size=1), source=URIS),
}


def _references(targets: tuple[str, ...]) -> st.SearchStrategy[Json]:
    """To resources that may be here, to another server's, or logical."""
    here = [type for type in TYPES if not targets or type in targets or "Resource" in targets]
    literal = st.builds("{}/{}".format, st.sampled_from(here), st.sampled_from(IDS)) if here else st.nothing()
    elsewhere = st.sampled_from(["http://other.example/fhir/Patient/r1", "Patient/r1/_history/2"])
    return st.one_of(
        st.builds(lambda text: {"reference": text}, st.one_of(literal, literal, literal, elsewhere)),
        st.builds(lambda identifier: {"identifier": identifier}, IDENTIFIER),
    )


# ── elements ──────────────────────────────────────────────────────────────────


@cache
def definitions() -> Definitions:
    return load_definitions()


@cache
def _members_of(path: str) -> tuple[Any, ...]:
    members = definitions().members(path).values()
    return tuple(
        member for member in members if member.json_name not in LEFT_OUT and member.type != "Resource"
    )


def _value(member: Any, depth: int) -> st.SearchStrategy[Any] | None:
    if member.type == "Reference":
        targets = next((kind.targets for kind in member.element.types if kind.code == "Reference"), ())
        return _references(targets)
    if member.type in PRIMITIVES:
        return PRIMITIVES[member.type]
    if member.type in COMPLEX:
        return COMPLEX[member.type]
    if not member.path:
        return TEXTS
    return content(member.path, depth - 1) if depth > 1 else None


@cache
def _choices(path: str, depth: int) -> dict[str, st.SearchStrategy[Any]]:
    found = {}
    for member in _members_of(path):
        value = _value(member, depth)
        if value is not None:
            is_list = member.element.is_list
            found[member.json_name] = st.lists(value, min_size=1, max_size=2) if is_list else value
    return found


@cache
def content(path: str, depth: int = DEPTH) -> st.SearchStrategy[Json]:
    """Some of the members that may stand under ``path``, one choice of each ``value[x]``."""
    choices = _choices(path, depth)
    most = 8 if "." not in path and depth == DEPTH else 3

    @st.composite
    def made(draw: st.DrawFn) -> Json:
        names = draw(st.lists(st.sampled_from(sorted(choices)), unique=True, max_size=most))
        stems = {_stem(path, name): name for name in names}
        return {name: draw(choices[name]) for name in stems.values()}

    return made()


@cache
def _stem(path: str, name: str) -> str:
    return str(next(member.element.name for member in _members_of(path) if member.json_name == name))


@st.composite
def stocks(draw: st.DrawFn, types: tuple[str, ...] = TYPES, least: int = 3) -> dict[tuple[str, str], Json]:
    """Up to three resources of each type, by (type, id)."""
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from(types), st.sampled_from(IDS)), unique=True, min_size=least, max_size=10
        )
    )
    return {(type, id): {"resourceType": type, "id": id, **draw(content(type))} for type, id in keys}
