from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.errors import InvalidContent
from fhir_server.model.resource import MAX_DEPTH, Resource, parse_json


def nested(depth: int) -> bytes:
    return b'{"resourceType":"Basic","a":' + b"[" * (depth - 1) + b"1" + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"resourceType":"Patient"} x', "not JSON"),
        (b'{"resourceType":"Patient","a":NaN}', "not JSON"),
        (b'{"resourceType":"Patient","a":1e400}', "not JSON"),
        (b'{"resourceType":"Pa\xfftient"}', "not JSON"),
        (b'{"resourceType":"Patient","a":"\\ud800"}', "not JSON"),
        ('{"resourceType":"Patient"}'.encode("utf-16"), "not JSON"),
        (b"[]", "not a resource"),
        (b"null", "not a resource"),
        (b'"Patient"', "not a resource"),
        (b"{}", "not a resource"),
        (b'{"resourceType":1}', "not a resource"),
        (b'{"resourceType":"Patient","id":"1","id":"2"}', "'id' comes twice"),
        (
            b'{"resourceType":"Patient","name":[{"family":"a","given":[],"family":"a"}]}',
            "'family' comes twice",
        ),
        (b'{"resourceType":"Patient","a:b":1,"a:b":1}', "'a:b' comes twice"),
        (b'{"resourceType":"Patient","a":"1","a":"\\u003a\\u003a"}', "'a' comes twice"),
        (b'{"resourceType":"Patient","\\u0061":1,"a":2}', "'a' comes twice"),
        (nested(MAX_DEPTH + 1), "nested too deeply"),
        (nested(300), "nested too deeply"),
        (nested(3000), "not JSON"),
    ],
)
def test_hostile_or_broken_json_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidContent, match=reason):
        Resource.parse(raw)


@pytest.mark.parametrize(
    "raw",
    [
        nested(MAX_DEPTH),
        b'{"resourceType" : "Patient",\r\n\t"a" :[ ]}',
        b'\xef\xbb\xbf{"resourceType":"Patient"}',
        b'{"resourceType":"Patient","a":"\\u003a \\" : \\\\","b":{"a":":"}}',
        '{"resourceType":"Patient","名":"张:三"}'.encode(),
    ],
)
def test_what_is_only_unusual_is_read(raw: bytes) -> None:
    resource = Resource.parse(raw)
    assert resource.raw == raw.removeprefix(b"\xef\xbb\xbf")
    assert resource.data == json.loads(resource.raw)


NAMES = st.sampled_from(["a", "b", "a:b", '"', "\\", ":", "\n", "é", "张", "", "u003a"])
TREES = st.recursive(
    st.none() | st.integers(-9, 9) | st.sampled_from(["", ":", '":', '\\":"', "\\u003a", "张"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def text(tree: Any, draw: Any, double: bool) -> tuple[str, bool]:
    """JSON of ``tree`` in any spelling; where ``double``, some objects repeat their first member."""
    if isinstance(tree, dict):
        pairs = [(spelled(name, draw), *text(value, draw, double)) for name, value in tree.items()]
        repeat = bool(pairs) and double and draw(st.booleans())
        if repeat:
            pairs.append((spelled(next(iter(tree)), draw), *pairs[-1][1:]))
        body = ",".join(f"{name}:{value}" for name, value, _ in pairs)
        return f"{{{body}}}", repeat or any(found for *_, found in pairs)
    if isinstance(tree, list):
        items = [text(item, draw, double) for item in tree]
        return f"[{','.join(item for item, _ in items)}]", any(found for _, found in items)
    return (spelled(tree, draw), False) if isinstance(tree, str) else (json.dumps(tree), False)


def spelled(value: str, draw: Any) -> str:
    if draw(st.booleans()):
        return '"' + "".join(f"\\u{ord(char):04x}" for char in value) + '"'
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@given(st.data(), TREES)
def test_a_double_member_is_always_found_and_never_imagined(data: st.DataObject, tree: Any) -> None:
    raw, double = text(tree, data.draw, double=True)
    if double:
        with pytest.raises(InvalidContent, match="comes twice"):
            parse_json(raw.encode())
    else:
        assert parse_json(raw.encode()) == tree


# ── stamped ───────────────────────────────────────────────────────────────────

MOMENT = 1_772_413_920_123_456


def test_stamped_sets_id_version_and_time_and_nothing_else() -> None:
    raw = (
        b'{"id":"old","meta":{"source":"#x","versionId":"9"},"valueQuantity":{"value": 1.00},'
        b'"resourceType":"Observation"}'
    )
    stamped = Resource.parse(raw).stamped("o1", 3, MOMENT)
    assert stamped.raw == (
        b'{"valueQuantity":{"value": 1.00},"resourceType":"Observation","id":"o1","meta":{"source":"#x",'
        b'"versionId":"3","lastUpdated":"2026-03-02T01:12:00.123Z"}}'
    )
    assert stamped.data == orjson.loads(stamped.raw)
    assert list(stamped.data) == list(orjson.loads(stamped.raw))
    assert (stamped.type, stamped.id) == ("Observation", "o1")


def test_stamped_makes_a_meta_where_there_was_none_and_leaves_the_original_alone() -> None:
    resource = Resource.parse(b'{"resourceType":"Basic","code":{}}')
    stamped = resource.stamped("b1", 1, MOMENT)
    assert stamped.data["meta"] == {"versionId": "1", "lastUpdated": "2026-03-02T01:12:00.123Z"}
    assert list(stamped.data) == ["resourceType", "id", "meta", "code"]
    assert resource.data == {"resourceType": "Basic", "code": {}}
    assert resource.id is None


def test_a_resource_of_the_servers_own_making() -> None:
    resource = Resource.of({"resourceType": "Basic", "code": {"text": "转诊"}})
    assert resource.raw == '{"resourceType":"Basic","code":{"text":"转诊"}}'.encode()
