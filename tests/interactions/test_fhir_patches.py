"""patch with a Parameters (FHIRPath Patch), with a merge patch, and by criteria."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from interaction_cases import expect, raw, resource

from fhir_server.errors import (
    InvalidContent,
    InvalidSearch,
    NotFound,
    PreconditionFailed,
    Unprocessable,
    UnsupportedMedia,
)
from fhir_server.interactions.patch import patch
from fhir_server.interactions.patches import FHIR_JSON, MERGE_PATCH, parse_patch
from fhir_server.interactions.patches.fhir_patch import MOST_OPERATIONS
from fhir_server.interactions.patches.merge_patch import merge
from fhir_server.interactions.read import read
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource

NAMES = {"path": "valueString", "name": "valueString", "type": "valueCode"}
PATIENT = (
    '{"resourceType":"Patient","id":"p","birthDate":"1970-01-02","_birthDate":{"extension":[{"url":"http://t",'
    '"valueDateTime":"1970-01-02T03:04:05+08:00"}]},"name":[{"use":"official","family":"张","given":["一","二"],'
    '"_given":[null,{"id":"x"}]},{"use":"nickname","text":"小张"}],"deceasedBoolean":false,"managingOrganization":{"reference":"#o"},'
    '"contact":[{"name":{"text":"a"}},{"gender":"male"}],"contained":[{"resourceType":"Organization","id":"o","name":"医院"}],'
    '"extension":[{"url":"http://d","valueDecimal":1.00},{"url":"http://b","valueBoolean":true}]}'
)


def operation(kind: str, path: str, name: str | None = None, **members: Any) -> dict[str, Any]:
    """One parameter; a member whose name does not begin with ``value`` is a whole number."""
    parts = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    if name is not None:
        parts.append({"name": "name", "valueString": name})
    for member, value in members.items():
        if member.startswith("value") or member in {"part", "resource"}:
            parts.append({"name": "value", member: value})
        else:
            parts.append({"name": member, "valueInteger": value})
    return {"name": "operation", "part": parts}


def parameters(*operations: dict[str, Any]) -> bytes:
    return orjson.dumps({"resourceType": "Parameters", "parameter": list(operations)})


def patched(server: Any, text: str, *operations: dict[str, Any]) -> str:
    """The bytes of ``text`` after the operations, without validation of the result."""
    return parse_patch(server, parameters(*operations), FHIR_JSON)(raw(text)).raw.decode()


@pytest.fixture
async def kept(server, caller):
    await update(server, caller, raw(PATIENT), id="p")
    return server


CASES = [
    ("a primitive", operation("replace", "Patient.birthDate", valueDate="1980"), '"birthDate":"1980","name"'),
    (
        "the twin of a primitive goes with it, and comes with it",
        operation("delete", "Patient.birthDate"),
        '{"resourceType":"Patient","id":"p","name":[{',
    ),
    (
        "one of several primitives, found by its value",
        operation("delete", "Patient.name.given.where($this = '一')"),
        '"given":["二"],"_given":[{"id":"x"}]',
    ),
    (
        "a list of primitives and its twins move together",
        operation("move", "Patient.name[0].given", source=1, destination=0),
        '"given":["二","一"],"_given":[{"id":"x"},null]',
    ),
    (
        "into a list of primitives",
        operation("insert", "Patient.name.first().given", valueString="零", index=1),
        '"given":["一","零","二"],"_given":[null,null,{"id":"x"}]',
    ),
    (
        "into a list that is not there yet",
        operation("insert", "Patient.name[1].given", index=0, valueString="张"),
        '"text":"小张","given":["张"]}',
    ),
    (
        "an element below a choice of the same type",
        operation("replace", "Patient.deceased", valueBoolean=True),
        '"deceasedBoolean":true',
    ),
    (
        "a choice takes another type, in its place",
        operation("replace", "Patient.deceased", valueDateTime="2020"),
        '}],"deceasedDateTime":"2020","managing',
    ),
    (
        "a choice is named without its type",
        operation("add", "Patient", "multipleBirth", valueInteger=2),
        '"multipleBirthInteger":2}',
    ),
    (
        "a choice may also be named with its type",
        operation("add", "Patient", "multipleBirthInteger", valueInteger=2),
        '"multipleBirthInteger":2}',
    ),
    (
        "an extension of a primitive",
        operation(
            "add",
            "Patient.name[0].given[0]",
            "extension",
            part=[{"name": "url", "valueUri": "http://e"}, {"name": "value", "valueString": "v"}],
        ),
        '"_given":[{"extension":[{"url":"http://e","valueString":"v"}]},{"id":"x"}]',
    ),
    (
        "the last extension of a primitive",
        operation("delete", "Patient.birthDate.extension"),
        '"birthDate":"1970-01-02","name"',
    ),
    (
        "what is left empty goes too",
        operation("delete", "Patient.contact[0].name.text"),
        '"contact":[{"gender":"male"}],"contained"',
    ),
    (
        "an element without a named type, from parts",
        operation(
            "add",
            "Patient",
            "contact",
            part=[
                {"name": "gender", "valueCode": "female"},
                {"name": "telecom", "valueContactPoint": {"value": "1"}},
                {"name": "telecom", "valueContactPoint": {"value": "2"}},
            ],
        ),
        ',{"gender":"female","telecom":[{"value":"1"},{"value":"2"}]}]',
    ),
    (
        "an element of a contained resource",
        operation("replace", "Patient.contained.ofType(Organization).name", valueString="卫生院"),
        '{"resourceType":"Organization","id":"o","name":"卫生院"}',
    ),
    (
        "a contained resource",
        operation("add", "Patient", "contained", resource={"resourceType": "Organization", "id": "q"}),
        '"name":"医院"},{"resourceType":"Organization","id":"q"}]',
    ),
    (
        "an element found by its extension",
        operation("replace", "Patient.extension('http://b').value", valueString="s"),
        '{"url":"http://b","valueString":"s"}',
    ),
    ("nothing to delete", operation("delete", "Patient.photo"), PATIENT),
    (
        "a path without the type of the resource",
        operation("replace", "name.where(use='nickname').text", valueString="t"),
        '"text":"t"',
    ),
]


@pytest.mark.parametrize(("step", "found"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_operations(server, step, found):
    after = patched(server, PATIENT, step)
    assert found in after
    assert '"valueDecimal":1.00' in after, "what is not touched keeps its text"


MISFITS = [
    ("nothing there", operation("replace", "Patient.photo", valueAttachment={"title": "t"}), "not-found"),
    ("several", operation("delete", "Patient.name"), "multiple-matches"),
    ("several in an index", operation("delete", "Patient.name.given"), "multiple-matches"),
    ("a computed value", operation("replace", "Patient.name.count()", valueInteger=1), "value"),
    ("a literal", operation("delete", "'x'"), "value"),
    ("the whole", operation("delete", "Patient"), "value"),
    ("the whole, replaced", operation("replace", "Patient", valueString="x"), "value"),
    ("an unknown element", operation("add", "Patient", "shoe", valueString="x"), "not-found"),
    (
        "an unknown part",
        operation("add", "Patient", "contact", part=[{"name": "shoe", "valueString": "x"}]),
        "not-found",
    ),
    ("no list", operation("insert", "Patient.birthDate", valueDate="1970", index=0), "value"),
    ("no list to move in", operation("move", "Patient.maritalStatus", source=0, destination=0), "value"),
    ("beyond the end", operation("insert", "Patient.name", valueHumanName={"text": "t"}, index=3), "value"),
    (
        "before the start",
        operation("insert", "Patient.name", valueHumanName={"text": "t"}, index=-1),
        "value",
    ),
    ("from beyond the end", operation("move", "Patient.name", source=2, destination=0), "value"),
    ("to beyond the end", operation("move", "Patient.name", source=0, destination=2), "value"),
    ("from an empty list", operation("move", "Patient.photo", source=0, destination=0), "value"),
    (
        "lists of two names",
        operation("insert", "Patient.name.given", valueString="x", index=0),
        "multiple-matches",
    ),
    ("it is there", operation("add", "Patient", "birthDate", valueDate="1970"), "duplicate"),
    ("the other choice", operation("add", "Patient", "deceased", valueDateTime="1970"), "duplicate"),
    ("a wrong type", operation("add", "Patient", "maritalStatus", valueHumanName={"text": "x"}), "value"),
    ("a wrong type of a choice", operation("replace", "Patient.deceased", valueString="x"), "value"),
    (
        "a complex value for a primitive",
        operation("replace", "Patient.birthDate", valuePeriod={"start": "1970"}),
        "value",
    ),
    (
        "a primitive for a complex value",
        operation("add", "Patient", "maritalStatus", valueString="x"),
        "value",
    ),
    (
        "parts for a primitive",
        operation("replace", "Patient.birthDate", part=[{"name": "x", "valueString": "x"}]),
        "value",
    ),
    (
        "a resource in a name",
        operation("add", "Patient", "name", resource={"resourceType": "Patient"}),
        "value",
    ),
    (
        "an element of a primitive",
        operation("add", "Patient.birthDate", "text", valueString="x"),
        "not-found",
    ),
    ("several where one is needed", operation("delete", "Patient.name.single()"), "value"),
]


@pytest.mark.parametrize(("step", "code"), [case[1:] for case in MISFITS], ids=[case[0] for case in MISFITS])
def test_what_does_not_fit_is_told_with_its_place(server, step, code):
    good = operation("replace", "Patient.birthDate", valueDate="1980")
    with pytest.raises(Unprocessable) as caught:
        patched(server, PATIENT, good, step)
    (issue,) = caught.value.issues
    assert (issue.expression, issue.code) == ("Parameters.parameter[1]", code)
    assert "张" not in issue.text


async def test_operations_build_on_one_another_and_make_one_version(kept, caller):
    body = parameters(
        operation("add", "Patient", "photo", valueAttachment={"title": "a"}),
        operation("insert", "Patient.photo", index=0, valueAttachment={"title": "b"}),
        operation("replace", "Patient.photo[1].title", valueString="c"),
        operation("delete", "Patient.photo.where(title = 'b')"),
    )
    done = await patch(kept, caller, "Patient", "p", body, content_type=FHIR_JSON)
    shown = orjson.loads(done.record.content)
    assert (done.status, done.record.version, done.record.method) == (200, 2, "PATCH")
    assert shown["photo"] == [{"title": "c"}]
    assert b'"valueDecimal":1.00' in done.record.content


async def test_decimals_of_the_patch_keep_their_text(kept, caller):
    body = b"""{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type",
        "valueCode":"replace"},{"name":"path","valueString":"Patient.extension[0].value"},{"name":"value","valueDecimal":2.50}]}]}"""
    done = await patch(kept, caller, "Patient", "p", body, content_type=f"{FHIR_JSON}; charset=utf-8")
    assert b'"valueDecimal":2.50' in done.record.content


@pytest.mark.parametrize(
    ("body", "error", "expressions"),
    [
        (b"{", InvalidContent, None),
        (b'{"resourceType":"Patient"}', InvalidContent, ["resourceType"]),
        (
            b'{"resourceType":"Parameters","parameter":[{"part":[]}]}',
            Unprocessable,
            ["Parameters.parameter[0].part", "Parameters.parameter[0].name"],
        ),
        (
            parameters(
                {"name": "step"},
                operation("shout", "Patient"),
                operation("add", "Patient"),
                operation("move", "Patient.name", source=1),
                operation("delete", "Patient.name.where("),
                operation("insert", "Patient.name.where(true)", valueHumanName={"text": "t"}, index=0),
                operation("delete", "Patient" + ".name" * 1000),
                {"name": "operation", "part": [{"name": "type", "valueHumanName": {"text": "x"}}]},
            ),
            InvalidContent,
            [
                "Parameters.parameter[0].name",
                "Parameters.parameter[1]",
                "Parameters.parameter[2]",
                "Parameters.parameter[2]",
                "Parameters.parameter[3]",
                "Parameters.parameter[4].part[1]",
                "Parameters.parameter[5].part[1]",
                "Parameters.parameter[6].part[1]",
                "Parameters.parameter[7]",
            ],
        ),
        (parameters(*[operation("delete", "Patient.photo")] * (MOST_OPERATIONS + 1)), InvalidContent, None),
    ],
)
async def test_every_fault_of_the_patch_is_told_before_anything_is_read(
    server, caller, body, error, expressions
):
    caught = await expect(error, patch(server, caller, "Patient", "none", body, content_type=FHIR_JSON))
    assert expressions is None or [issue.expression for issue in caught.issues] == expressions


@pytest.mark.parametrize(
    "step",
    [
        operation("replace", "Patient.birthDate", valueString="some day"),
        operation("replace", "Patient.id", valueId="q"),
        operation("add", "Patient", "gender", valueCode="banana"),
    ],
)
async def test_a_result_that_is_not_valid_changes_nothing(kept, caller, step):
    call = patch(kept, caller, "Patient", "p", parameters(step), content_type=FHIR_JSON)
    await expect(Unprocessable, call)
    assert (await read(kept, caller, "Patient", "p")).record.version == 1


# ── merge patch ───────────────────────────────────────────────────────────────


async def test_a_merge_patch(kept, caller):
    body = b'{"gender":"male","deceasedBoolean":null,"name":[{"text":"x"}],"maritalStatus":{"text":"y"}}'
    done = await patch(kept, caller, "Patient", "p", body, content_type=MERGE_PATCH)
    shown = orjson.loads(done.record.content)
    assert (shown["gender"], shown["name"], shown["maritalStatus"]) == (
        "male",
        [{"text": "x"}],
        {"text": "y"},
    )
    assert "deceasedBoolean" not in shown
    assert b'"valueDecimal":1.00' in done.record.content


RFC_7396 = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]


@pytest.mark.parametrize(("before", "body", "after"), RFC_7396)
def test_merging(before, body, after):
    assert orjson.dumps(merge(orjson.loads(before), orjson.loads(body))).decode() == after


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b"null", b"{", b'{"gender":"male","gender":"female"}', b"[" * 100_000]
)
async def test_a_merge_patch_is_an_object(kept, caller, body):
    await expect(InvalidContent, patch(kept, caller, "Patient", "p", body, content_type=MERGE_PATCH))


# ── by criteria ───────────────────────────────────────────────────────────────


async def test_conditional_patch(kept, caller):
    body = b'{"gender":"male"}'

    def call(criteria, **more):
        return patch(kept, caller, "Patient", None, body, content_type=MERGE_PATCH, criteria=criteria, **more)

    assert (await call("name=小张")).record.version == 2
    await expect(NotFound, call("name=nobody"))
    await expect(PreconditionFailed, call("name=小张", if_match='W/"1"'))
    assert (await call("name=小张", if_match='W/"2"')).record.version == 3
    await expect(InvalidSearch, call("shoe=1"))
    await expect(PreconditionFailed, call(""))
    await update(kept, caller, resource(id="q", name=[{"text": "小张"}]), id="q")
    error = await expect(PreconditionFailed, call("name=小张"))
    assert error.issues[0].code == "multiple-matches"


@pytest.mark.parametrize("kind", ["", "text/xml", "application/xml-patch+xml"])
async def test_other_patches_are_refused_clearly(kept, caller, kind):
    error = await expect(UnsupportedMedia, patch(kept, caller, "Patient", "p", b"[]", content_type=kind))
    assert error.headers["Accept-Patch"].split(", ") == [
        "application/fhir+json",
        "application/json-patch+json",
        "application/merge-patch+json",
    ]


def test_the_tree_that_is_patched_is_not_the_one_that_is_kept(server):
    before = raw(PATIENT)
    parse_patch(server, parameters(operation("delete", "Patient.contact[0]")), FHIR_JSON)(before)
    assert Resource.parse(PATIENT.encode()).data == before.data
