from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions import load_definitions
from fhir_server.model.rewriting import TreeRewriter, reference_rewriter, stem

ONE = "urn:uuid:11111111-1111-1111-1111-111111111111"
TWO = "urn:uuid:22222222-2222-2222-2222-222222222222"
NPI = "Practitioner?identifier=http://npi|9"
NEW = {ONE: "Patient/p1", TWO: "Encounter/e1", NPI: "Practitioner/x", "http://o/fhir/Group/1": "Group/g"}
MEMBERS = load_definitions().members

rewrite = reference_rewriter(NEW, MEMBERS)
careful = TreeRewriter(NEW, MEMBERS).rewrite


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"subject": {"reference": ONE}}, {"subject": {"reference": "Patient/p1"}}),
        (
            {"performer": [{"reference": NPI}, {"reference": "Organization/1"}]},
            {"performer": [{"reference": "Practitioner/x"}, {"reference": "Organization/1"}]},
        ),
        ({"focus": [{"reference": "http://o/fhir/Group/1"}]}, {"focus": [{"reference": "Group/g"}]}),
        (
            {"extension": [{"url": "http://e", "valueUri": ONE}]},
            {"extension": [{"url": "http://e", "valueUri": "Patient/p1"}]},
        ),
        (
            {"extension": [{"url": "http://e", "valueUrl": TWO}]},
            {"extension": [{"url": "http://e", "valueUrl": "Encounter/e1"}]},
        ),
        (
            {"extension": [{"url": "http://e", "valueUuid": ONE}]},
            {"extension": [{"url": "http://e", "valueUuid": "Patient/p1"}]},
        ),
        ({"meta": {"source": TWO}}, {"meta": {"source": "Encounter/e1"}}),
        (
            {"contained": [{"resourceType": "Provenance", "target": [{"reference": ONE}]}]},
            {"contained": [{"resourceType": "Provenance", "target": [{"reference": "Patient/p1"}]}]},
        ),
        (
            {"_status": {"extension": [{"url": "http://e", "valueReference": {"reference": ONE}}]}},
            {"_status": {"extension": [{"url": "http://e", "valueReference": {"reference": "Patient/p1"}}]}},
        ),
        (
            {"text": {"status": "generated", "div": f"<div><a href=\"{ONE}\">x</a><img src='{TWO}'/></div>"}},
            {
                "text": {
                    "status": "generated",
                    "div": "<div><a href=\"Patient/p1\">x</a><img src='Encounter/e1'/></div>",
                }
            },
        ),
    ],
)
def test_references_uris_and_narrative_links_are_replaced(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    raw = orjson.dumps({"resourceType": "Observation", **before})
    assert orjson.loads(rewrite(raw)) == {"resourceType": "Observation", **after}
    assert orjson.loads(careful(raw)) == {"resourceType": "Observation", **after}


@pytest.mark.parametrize(
    "content",
    [
        {"identifier": [{"system": "urn:ietf:rfc:3986", "value": ONE}]},
        {"instantiatesCanonical": [ONE]},
        {"extension": [{"url": "http://e", "valueString": ONE}]},
        {"extension": [{"url": "http://e", "valueCanonical": ONE}]},
        {"note": [{"text": f'"reference":"{ONE}"'}]},
        {"text": {"status": "generated", "div": f"<div>{ONE}</div>"}},
        {"subject": {"reference": ONE + "x"}},
        {"subject": {"reference": ONE.upper()}},
        {"subject": {"display": ONE}},
        {"unknown": {"reference": {"reference": 1}}},
        {"contained": [{"resourceType": "Unknown", "x": {"valueUri": ONE}}, 3]},
        {},
    ],
)
def test_all_else_is_left_alone(content: dict[str, Any]) -> None:
    raw = orjson.dumps({"resourceType": "ServiceRequest", **content})
    assert rewrite(raw) == raw
    assert careful(raw) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b'{"resourceType":"Observation","subject":{"reference" :\n "%b"},"valueQuantity":{"value": 1.00}}'
        % ONE.encode(),
        b'{ "valueQuantity" : {"value": 1.00e1 } , "resourceType": "Observation","subject":{"reference":"%b"} }'
        % ONE.encode(),
    ],
)
def test_in_place_every_other_byte_stays(raw: bytes) -> None:
    assert rewrite(raw) == raw.replace(ONE.encode(), b"Patient/p1")


def test_numbers_and_order_stay_when_the_tree_is_written_again() -> None:
    quantity = '"valueQuantity":{"value":1.00,"unit":"摄氏度"}'
    raw = f'{{{quantity},"resourceType":"Observation","meta":{{"source":"{ONE}"}}}}'
    assert rewrite(raw.encode()).decode() == raw.replace(ONE, "Patient/p1")


@pytest.mark.parametrize(
    "reference",
    [
        "\\u0075rn:uuid:" + ONE[9:],
        "urn\\u003auuid:" + ONE[9:],
        NPI.replace("/", "\\/"),
        NPI.replace("=", "\\u003d"),
    ],
)
def test_a_disguised_reference_is_replaced_too(reference: str) -> None:
    raw = f'{{"resourceType":"Observation","subject":{{"reference":"{reference}"}}}}'
    assert orjson.loads(rewrite(raw.encode()))["subject"]["reference"] in {"Patient/p1", "Practitioner/x"}


def test_a_value_that_goes_on_behind_an_escaped_quote_is_another_value() -> None:
    raw = b'{"resourceType":"Observation","subject":{"reference":"%b\\"x"}}' % ONE.encode()
    assert rewrite(raw) == raw


def test_a_conditional_reference_in_chinese_is_found_in_any_spelling() -> None:
    key = "Practitioner?name=张"
    change = reference_rewriter({key: "Practitioner/1"}, MEMBERS)
    data = {"resourceType": "Observation", "performer": [{"reference": key}]}
    for raw in (json.dumps(data).encode(), orjson.dumps(data)):
        assert orjson.loads(change(raw))["performer"] == [{"reference": "Practitioner/1"}]


def test_replacements_are_made_once_not_in_chains() -> None:
    change = reference_rewriter({"Patient/1": "Patient/2", "Patient/2": "Patient/1"}, MEMBERS)
    raw = orjson.dumps(
        {"resourceType": "List", "entry": [{"item": {"reference": f"Patient/{n}"}} for n in (1, 2)]}
    )
    entries = orjson.loads(change(raw))["entry"]
    assert [entry["item"]["reference"] for entry in entries] == ["Patient/2", "Patient/1"]


def test_without_replacements_nothing_is_read() -> None:
    assert reference_rewriter({}, MEMBERS)(b"not even JSON") == b"not even JSON"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (ONE, "urn:uuid:"),
        ("urn:oid:1.2.3", "urn:oid:"),
        (NPI, "Practitioner?"),
        ("http://o/fhir/Patient/1", "http://o/fhir/Patient/"),
        ("Patient/1", "Patient/"),
        ("alone", "alone"),
    ],
)
def test_a_stem_is_what_keys_of_a_kind_share(key: str, expected: str) -> None:
    assert stem(key) == expected


VALUES = st.sampled_from(
    [ONE, TWO, NPI, ONE + "x", "Patient/1", "http://o/fhir/Group/1", f'say "{ONE}"', f"'{TWO}'", "\\", "张"]
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "subject": st.fixed_dictionaries({"reference": VALUES}),
        "performer": st.lists(st.fixed_dictionaries({"reference": VALUES, "display": VALUES})),
        "meta": st.fixed_dictionaries({"source": VALUES}),
        "identifier": st.lists(st.fixed_dictionaries({"system": VALUES, "value": VALUES})),
        "note": st.lists(st.fixed_dictionaries({"text": VALUES})),
        "valueQuantity": st.fixed_dictionaries({"value": st.floats(allow_nan=False, allow_infinity=False)}),
        "text": VALUES.map(
            lambda value: {"status": "generated", "div": f"<div><a href='{value}'/>{value}</div>"}
        ),
    },
)


@given(PARTS, st.booleans(), st.booleans())
def test_the_fast_way_and_the_careful_way_agree(
    parts: dict[str, Any], spaced: bool, ascii_only: bool
) -> None:
    text = json.dumps(
        {"resourceType": "Observation", **parts}, indent=1 if spaced else None, ensure_ascii=ascii_only
    )
    assert json.loads(rewrite(text.encode()), parse_float=str) == json.loads(
        careful(text.encode()), parse_float=str
    )
