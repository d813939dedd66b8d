"""Whatever arrives: the validator answers with issues, never with an exception, and never with a patient's text."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.validation import Validator

SECRET = "张伟 的 secret"
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"tag": [{"system": "http://x.org", "code": "a"}]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "n"}],
    "extension": [{"url": "http://x.org/e", "valueTiming": {"repeat": {"count": 1}}}],
    "identifier": [{"system": "urn:oid:1.2.3", "value": "1", "period": {"start": "2026-01-01"}}],
    "active": True,
    "name": [{"family": "f", "given": ["a", None], "_given": [None, {"id": "g"}]}],
    "gender": "male",
    "birthDate": "1970-01-01",
    "multipleBirthInteger": 2,
    "photo": [{"data": "QUJD"}],
    "managingOrganization": {"reference": "#o"},
}
BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "batch",
    "entry": [
        {"fullUrl": "urn:uuid:1", "resource": PATIENT, "request": {"method": "PUT", "url": "Patient/p"}}
    ],
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.just(SECRET),
    st.sampled_from(["", "male", "#o", "2026-02-30", "Patient/1", "a\x00"]),
    st.just([]),
    st.just({}),
    st.lists(st.just(SECRET), min_size=1, max_size=3),
    st.dictionaries(
        st.sampled_from(["id", "extension", "value", "url", SECRET]), st.just(SECRET), max_size=3
    ),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below ``value``."""
    found: list[tuple[Any, Any]] = []
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in steps:
        found.append((value, key))
        found.extend(places(below))
    return found


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from([PATIENT, BUNDLE]))
def test_any_change_gives_issues_and_never_an_exception(
    validator: Validator, data: st.DataObject, good: dict[str, Any]
) -> None:
    resource = copy.deepcopy(good)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(resource)))
        container[key] = data.draw(VALUES)
    issues = validator.validate(orjson.loads(orjson.dumps(resource)))
    told = orjson.dumps([issue.as_json() for issue in issues]).decode()
    assert SECRET not in told
    assert all(issue.expression and issue.text for issue in issues)


def test_the_resources_that_are_changed_are_good(validator: Validator) -> None:
    assert validator.validate(PATIENT) == []
    assert validator.validate(BUNDLE) == []


@pytest.mark.parametrize("depth", [100, 500])
def test_deep_extensions_are_answered(validator: Validator, depth: int) -> None:
    extension = '{"url":"http://x.org","extension":[' * depth + '{"url":"a","valueCode":"b"}' + "]}" * depth
    issues = validator.validate(orjson.loads(f'{{"resourceType":"Patient","extension":[{extension}]}}'))
    assert [issue.text[-23:] for issue in issues] == (["Recursion limit reached"] if depth == 500 else [])


@pytest.mark.parametrize("depth", [100, 500])
def test_deep_parameters_are_answered(validator: Validator, depth: int) -> None:
    part = '{"name":"a","part":[' * depth + '{"name":"b","resource":{"resourceType":"Nope"}}' + "]}" * depth
    issues = validator.validate(orjson.loads(f'{{"resourceType":"Parameters","parameter":[{part}]}}'))
    assert [issue.text[:4] for issue in issues] == (["this"] if depth == 500 else ["Nope"])


def test_bundles_in_bundles_end_somewhere(validator: Validator) -> None:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "collection"}
    for _ in range(40):
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": bundle}]}
    assert [issue.code for issue in validator.validate(bundle)] == ["too-long"]
