"""patch with a JSON Patch (RFC 6902)."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from interaction_cases import expect, raw, resource

from fhir_server.errors import (
    Gone,
    InvalidContent,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
    Unprocessable,
)
from fhir_server.interactions.delete import delete
from fhir_server.interactions.patch import modify, patch
from fhir_server.interactions.read import read
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource

WHOLE = (
    '{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},'
    '"valueQuantity":{"value":1.00,"unit":"kg"},"component":[{"code":{"text":"c"},"valueQuantity":{"value":1e2}}]}'
)


@pytest.fixture
async def kept(server, caller):
    await update(server, caller, raw(WHOLE), id="o")
    return server


def steps(*operations):
    return orjson.dumps(
        [dict(zip(("op", "path", "value"), operation, strict=False)) for operation in operations]
    )


async def test_a_patch_makes_a_version_and_leaves_the_rest_as_it_was(kept, caller):
    done = await patch(kept, caller, "Observation", "o", steps(("replace", "/status", "amended")))
    assert (done.status, done.record.version, done.record.method) == (200, 2, "PATCH")
    before = (await kept.store.read_version("Observation", "o", 1)).content
    after = done.record.content
    assert b'"value":1.00' in after
    assert b'"value":1e2' in after
    changed = before.replace(b'"versionId":"1"', b'"versionId":"2"').replace(b'"final"', b'"amended"')
    assert after == changed.replace(b"01:12:00.000Z", b"01:12:01.000Z")


async def test_numbers_of_the_patch_keep_their_text_and_are_compared_by_value(kept, caller):
    body = (
        b'[{"op":"test","path":"/valueQuantity/value","value":1},'
        b'{"op":"replace","path":"/valueQuantity/value","value":2.50}]'
    )
    assert b'"value":2.50' in (await patch(kept, caller, "Observation", "o", body)).record.content


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (("add", "/note", [{"text": "n"}]), b'"note":[{"text":"n"}]'),
        (("add", "/component/0", {"code": {"text": "first"}}), b'"component":[{"code":{"text":"first"}},'),
        (("add", "/component/-", {"code": {"text": "last"}}), b',{"code":{"text":"last"}}]'),
    ],
)
async def test_additions(kept, caller, operation, text):
    assert text in (await patch(kept, caller, "Observation", "o", steps(operation))).record.content


async def test_move_copy_and_remove(kept, caller):
    body = (
        b'[{"op":"copy","from":"/code","path":"/method"},{"op":"move","from":"/component/0/code","path":"/bodySite"},'
        b'{"op":"remove","path":"/component"}]'
    )
    shown = orjson.loads((await patch(kept, caller, "Observation", "o", body)).record.content)
    assert (shown["method"], shown["bodySite"], "component" in shown) == ({"text": "x"}, {"text": "c"}, False)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"not json", InvalidContent),
        (b"{}", InvalidContent),
        (b"[1]", InvalidContent),
        (b'[{"op":"shout","path":"/status"}]', InvalidContent),
        (b'[{"op":"add","path":"/status"}]', InvalidContent),
        (b'[{"op":"add","path":"status","value":"final"}]', InvalidContent),
        (b'[{"path":"/status"}]', InvalidContent),
        (steps(("test", "/status", "amended")), Unprocessable),
        (steps(("remove", "/nothing")), Unprocessable),
        (steps(("replace", "/component/7", {})), Unprocessable),
        (steps(("replace", "/status", "banana")), Unprocessable),
        (steps(("remove", "/code")), Unprocessable),
        (steps(("replace", "/id", "other")), Unprocessable),
        (steps(("replace", "/resourceType", "Patient")), InvalidContent),
        (b'[{"op":"replace","path":"","value":[]}]', InvalidContent),
    ],
)
async def test_a_patch_that_cannot_be_applied_changes_nothing(kept, caller, body, error):
    await expect(error, patch(kept, caller, "Observation", "o", body))
    assert (await read(kept, caller, "Observation", "o")).record.version == 1


async def test_if_match(kept, caller):
    body = steps(("replace", "/status", "amended"))
    await expect(PreconditionFailed, patch(kept, caller, "Observation", "o", body, if_match='W/"2"'))
    assert (await patch(kept, caller, "Observation", "o", body, if_match='W/"1"')).record.version == 2


async def test_what_can_be_patched(kept, caller):
    await expect(NotFound, patch(kept, caller, "Observation", "none", b"[]"))
    await delete(kept, caller, "Observation", "o")
    await expect(Gone, patch(kept, caller, "Observation", "o", b"[]"))
    await expect(NotFound, patch(kept, caller, "_Client", "o", b"[]"))
    await expect(Unauthenticated, patch(kept, None, "Observation", "o", b"[]"))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'[{"op":"test","path":"/status","value":"x"}]', "step 0 of the patch (test /status)"),
        (
            b'[{"op":"test","path":"/status","value":"final"},{"op":"remove","path":"/a~1b"}]',
            "step 1 of the patch (remove /a~1b)",
        ),
        (
            b'[{"op":"add"},{"op":"add","path":"/x"},{"op":"test","path":"x","value":1}]',
            "step 2 of the patch",
        ),
        (b'[{"op":"move","path":"/code/text","from":"/code"}]', "into itself"),
        (b'[{"op":"remove","path":""}]', "the whole resource"),
        (b'[{"op":"add","path":"/component/2","value":{}}]', "the list has 1 items"),
        (b'[{"op":"add","path":"/component/01","value":{}}]', "the list has 1 items"),
        (b'[{"op":"remove","path":"/component/-"}]', "the list has 1 items"),
        (b'[{"op":"add","path":"/status/x","value":1}]', "a simple value"),
        (b'[{"op":"add","path":"/~2","value":1}]', "JSON Pointer"),
    ],
)
async def test_a_fault_names_its_step(kept, caller, body, told):
    with pytest.raises((InvalidContent, Unprocessable)) as caught:
        await patch(kept, caller, "Observation", "o", body)
    assert any(told in issue.text for issue in caught.value.issues)


async def test_true_is_not_one(kept, caller):
    await patch(kept, caller, "Observation", "o", steps(("add", "/valueQuantity/value", 1)))
    await expect(
        Unprocessable,
        patch(kept, caller, "Observation", "o", steps(("test", "/valueQuantity/value", True))),
    )


def doubling(times):
    """Each step puts a copy of the list into the list."""
    return [{"op": "copy", "from": "/component", "path": "/component/-"}] * times


BOMBS = [
    doubling(64),
    [{"op": "copy", "from": "", "path": "/code"}, {"op": "copy", "from": "", "path": "/code/code"}] * 400,
    [{"op": "add", "path": "/note", "value": []}] * 1001,
]


@pytest.mark.parametrize("body", BOMBS)
async def test_a_patch_that_grows_without_end_is_refused(kept, caller, body):
    error = await expect(InvalidContent, patch(kept, caller, "Observation", "o", orjson.dumps(body)))
    assert error.issues[0].code == "too-costly"


async def test_parallel_patches_lose_nothing(kept, caller):
    note = steps(("add", "/note", [{"text": "0"}]))
    await patch(kept, caller, "Observation", "o", note)
    await asyncio.gather(
        *(
            patch(kept, caller, "Observation", "o", steps(("add", "/note/-", {"text": str(n)})))
            for n in range(1, 15)
        )
    )
    shown = orjson.loads((await read(kept, caller, "Observation", "o")).record.content)
    assert sorted(int(note["text"]) for note in shown["note"]) == list(range(15))


async def test_modify_reads_decides_and_writes_in_one_transaction(server, caller):
    await update(server, caller, resource(id="p", multipleBirthInteger=0), id="p")

    def add_one(current):
        return Resource.of({**current.data, "multipleBirthInteger": current.data["multipleBirthInteger"] + 1})

    results = await asyncio.gather(*(modify(server, caller, "Patient", "p", add_one) for _ in range(10)))
    assert sorted(r.record.version for r in results) == list(range(2, 12))
    shown = orjson.loads((await read(server, caller, "Patient", "p")).record.content)
    assert shown["multipleBirthInteger"] == 10
