"""A search that was parsed before is not parsed again, unless its meaning has changed."""

from datetime import UTC, datetime

import pytest

from fhir_server.definitions import load_definitions
from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.errors import InvalidSearch
from fhir_server.search.query import parse_query
from fhir_server.search.registry import Registry
from fhir_server.search.remembered import LONGEST, MOST_REMEMBERED, Remembered


@pytest.fixture
def fresh() -> Registry:
    return Registry(load_definitions())


def ask(registry, *pairs, **more):
    return parse_query(registry, "Task", pairs, zone=UTC, **more)


def test_the_same_search_is_the_same_query(fresh):
    assert ask(fresh, ("status", "requested")) is ask(fresh, ("status", "requested"))


@pytest.mark.parametrize("more", [{"lenient": True}, {"base_url": "http://x"}])
def test_how_it_is_read_belongs_to_it(fresh, more):
    assert ask(fresh, ("status", "requested")) is not ask(fresh, ("status", "requested"), **more)


def test_ap_is_measured_from_now(fresh):
    early, late = (
        ask(fresh, ("modified", "ap2026-03-02"), now=datetime(year, 3, 3, tzinfo=UTC)).clauses
        for year in (2026, 2036)
    )
    assert early != late


def test_a_fault_is_told_every_time(fresh):
    for _ in range(2):
        with pytest.raises(InvalidSearch):
            ask(fresh, ("bogus", "1"))


def test_a_new_parameter_is_known_at_once(fresh):
    with pytest.raises(InvalidSearch):
        ask(fresh, ("until", "2026"))
    before = ask(fresh, ("status", "requested"))
    model = next(
        d for d in fresh.definitions.search_parameters if d.code == "authored-on" and "Task" in d.base
    )
    changes = {"url": "http://x/until", "code": "until", "expression": "Task.restriction.period"}
    kept = {name: getattr(model, name) for name in SearchParameterDefinition.__struct_fields__}
    fresh.add(SearchParameterDefinition(**(kept | changes)))
    assert ask(fresh, ("until", "2026")).clauses
    assert ask(fresh, ("status", "requested")) is not before


def test_memory_is_bounded(fresh):
    long = ("status", "x" * LONGEST)
    assert ask(fresh, long) is not ask(fresh, long)
    remembered: Remembered[int] = Remembered()
    for number in range(MOST_REMEMBERED + 5):
        remembered.keep(number, number)
    assert [remembered.recall(number) for number in (0, 4, 5)] == [None, None, 5]
