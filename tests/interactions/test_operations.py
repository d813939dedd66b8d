"""$operations: found by walking, called in one way."""

from __future__ import annotations

import sys
from types import ModuleType

import orjson
import pytest
from interaction_cases import expect

import fhir_server.interactions.operations
import fhir_server.referral.operations
from fhir_server.errors import InvalidContent, NotFound, NotSupported, Unauthenticated
from fhir_server.interactions.context import Operation, Outcome
from fhir_server.interactions.operations import find_operations, invoke


async def echo(server, caller, invocation):
    shown = {"type": invocation.type, "id": invocation.id, "if_match": invocation.if_match}
    return Outcome(200, resource=orjson.dumps(shown))


def operation(code, level="instance", types=("Task",), affects_state=True):
    return Operation(code, types, level, affects_state, echo, {"url": f"http://x/{code}"})


@pytest.fixture
def able(with_rules):
    return with_rules(
        operations={
            "do": (operation("do"), operation("do", "type", ("Group",), affects_state=False)),
            "any": (operation("any", "type", ()),),
            "all": (operation("all", "system", ()),),
        }
    )


@pytest.mark.parametrize(
    ("level", "type", "id", "code"),
    [
        ("instance", "Task", "t", "do"),
        ("type", "Group", None, "do"),
        ("type", "Patient", None, "any"),
        ("system", None, None, "all"),
    ],
)
async def test_an_operation_is_called_where_it_belongs(able, caller, level, type, id, code):
    done = await invoke(able, caller, level, type, id, code, None, if_match='W/"3"')
    assert orjson.loads(done.resource) == {"type": type, "id": id, "if_match": 3}


@pytest.mark.parametrize(
    ("level", "type", "code", "error", "hint"),
    [
        ("instance", "Task", "undo", NotFound, "$all, $any, $do"),
        ("type", "Task", "do", NotSupported, "Group/$do, Task/[id]/$do"),
        ("instance", "Patient", "do", NotSupported, "Task/[id]/$do"),
        ("system", None, "any", NotSupported, "[type]/$any"),
        ("type", "_Client", "any", NotFound, "_Client"),
    ],
)
async def test_where_it_does_not_the_answer_helps(able, caller, level, type, code, error, hint):
    caught = await expect(error, invoke(able, caller, level, type, None, code, None))
    assert hint in caught.issues[0].text


async def test_calls_that_cannot_be_made(able, caller):
    await expect(Unauthenticated, invoke(able, None, "system", None, None, "all", None))
    error = await expect(NotSupported, invoke(able, caller, "system", None, None, "all", None, get=True))
    assert error.headers["Allow"] == "POST"
    assert (await invoke(able, caller, "type", "Group", None, "do", None, get=True)).status == 200
    body = {"resourceType": "Patient"}
    await expect(InvalidContent, invoke(able, caller, "system", None, None, "all", body))
    for header in ("three", 'W/"1", W/"2"', 'W/"x"'):
        await expect(InvalidContent, invoke(able, caller, "system", None, None, "all", None, if_match=header))


async def test_without_operations_the_answer_says_so(server, caller):
    error = await expect(NotFound, invoke(server, caller, "system", None, None, "x", None))
    assert "none" in error.issues[0].text


def folder(monkeypatch, tmp_path, name, files):
    """A package with one module per file, importable as ``name``."""
    place = tmp_path / name
    place.mkdir()
    for file, text in {"__init__": "", **files}.items():
        (place / f"{file}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__(name)
    monkeypatch.setitem(sys.modules, name, module)
    assert isinstance(module, ModuleType)
    return module


HEAD = "from test_operations import operation\n"


def test_files_are_found_by_walking(monkeypatch, tmp_path):
    package = folder(
        monkeypatch,
        tmp_path,
        "walked_well",
        {
            "one": HEAD + "OPERATION = operation('one')",
            "many": HEAD + "OPERATIONS = (operation('two'), operation('three'))",
            "helper": "VALUE = 1",
        },
    )
    assert sorted(find_operations(package)) == ["one", "three", "two"]


def test_two_operations_at_one_address_are_a_fault(monkeypatch, tmp_path):
    files = dict.fromkeys(("a", "b"), HEAD + "OPERATION = operation('same')")
    with pytest.raises(ValueError, match=r"\$same"):
        find_operations(folder(monkeypatch, tmp_path, "walked_badly", files))


def test_this_servers_operations_do_not_collide():
    found = find_operations(fhir_server.interactions.operations, fhir_server.referral.operations)
    assert {"submit", "accept", "available-actions"} <= found.keys()
    assert all(item.definition["url"] for items in found.values() for item in items)
