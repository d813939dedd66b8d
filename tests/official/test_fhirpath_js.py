"""The cases of fhirpath.js that apply to R4: those with an R4 resource, and those that need no data.

Where we differ on purpose the case is in ``known_failures.txt``, by file and number, with the reason.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from fhir_server.definitions import load_definitions
from fhir_server.fhirpath import ExpressionError, Model, Node, compile_expression, parse
from fhir_server.fhirpath.ast import Call, Member, Tree, children
from fhir_server.fhirpath.scope import Scope, Services
from fhir_server.fhirpath.values import TypeInfo, system_value, text_of
from fhir_server.model.exact import loads_exact

FOLDER = "test-cases/fhirpath.js/test/"
KNOWN_FAILURES = Path(__file__).parent / "known_failures.txt"
LATER = re.compile(
    r"%factory|\b\d+L\b|\b(?:sum|min|max|avg|weight|ordinal|defineVariable|coalesce|toLong|convertsToLong"
    r"|(?:year|month|day|hour|minute|second|millisecond|timezoneOffset|date|time)Of)\("
)
"""Functions and literals of later releases, and of fhirpath.js alone."""
OTHER_SUITES = frozenset({"fhir-r4.yaml", "fhir-r5.yaml"})
"""The first is the official suite, which has a runner of its own."""
WITHOUT_INPUT = frozenset({"now", "today", "timeOfDay", "iif"})
ENVIRONMENT = re.compile(r"%(?:resource|rootResource|context)\b")
QUIET = Services(trace=lambda name, items: None)


class Case(NamedTuple):
    """One expression: ``name`` is its file and number, ``data`` the name of its resource."""

    name: str
    expression: str
    row: dict[str, Any]
    data: str | None


def rows(content: Any) -> Iterator[dict[str, Any]]:
    """Every mapping with an expression, wherever groups hold it."""
    if isinstance(content, list):
        for item in content:
            yield from rows(item)
    elif isinstance(content, dict) and "expression" in content:
        yield content
    elif isinstance(content, dict):
        for inside in content.values():
            yield from rows(inside) if isinstance(inside, list) else ()


def needs_data(tree: Tree) -> bool:
    """Whether a path starts from the input; names of types do not count."""
    if isinstance(tree, Member) and tree.source is None:
        return True
    if isinstance(tree, Call) and tree.source is None and tree.name not in WITHOUT_INPUT:
        return True
    inside = children(tree)
    if isinstance(tree, Call) and tree.name in {"is", "as", "ofType"}:
        inside = inside[:1]
    return any(needs_data(part) for part in inside)


def applies(expression: str, row: dict[str, Any]) -> bool:
    if row.get("disable") or LATER.search(expression) or ("result" not in row and not row.get("error")):
        return False
    if str(row.get("model", "")).lower() == "r4" and "inputfile" in row:
        return True
    try:
        if "model" in row or ENVIRONMENT.search(expression):
            return False
        return not needs_data(parse(expression))
    except ExpressionError:
        return bool(row.get("error"))


def cases_of(file: str, content: Any) -> Iterator[Case]:
    number = 0
    for row in rows(content["tests"]):
        texts = row["expression"] if isinstance(row["expression"], list) else [row["expression"]]
        for text in texts:
            number += 1
            if isinstance(text, str) and applies(text, row):
                yield Case(f"{file} {number}", text, row, row.get("inputfile"))


def fault(model: Model, case: Case, resources: dict[str, bytes]) -> str | None:
    """What is wrong with the answer, None when nothing is."""
    data = loads_exact(resources[case.data]) if case.data else {"resourceType": "Basic"}
    node = Node.of(data)
    variables = {name: [node] for name in ("%resource", "%rootResource", "%context")}
    for name, value in (case.row.get("variables") or {}).items():
        variables[f"%{name}"] = items_of(value)
    try:
        found = compile_expression(case.expression, model)(node, Scope(variables, services=QUIET))
    except ExpressionError as error:
        return None if case.row.get("error") else f"refused: {error.cause}"
    if case.row.get("error"):
        return "was not refused"
    result = case.row["result"] if isinstance(case.row["result"], list) else [case.row["result"]]
    shown = [value for item in found if (value := plain(item)) is not None]
    wanted = [plain(item) for item in result]
    return None if shown == wanted else f"{shown} instead of {wanted}"


def items_of(value: Any) -> list[Any]:
    """A variable's value as a collection."""
    items = value if isinstance(value, list) else [] if value is None else [value]
    return [Decimal(str(item)) if isinstance(item, float) else item for item in items]


def plain(item: Any) -> Any:
    """An item as the cases write it; None for a primitive that has extensions only."""
    value = system_value(item)
    if isinstance(value, TypeInfo):
        return {"name": value.name, "namespace": value.namespace}
    if isinstance(value, Node):
        return value.value
    if isinstance(value, bool | str | dict | None):
        return value
    return float(value) if isinstance(value, int | float | Decimal) else text_of(value)


@pytest.fixture(scope="module")
def pack(shared: Path) -> dict[str, bytes]:
    archive = shared / "data" / "fhir-test-cases.tar.xz"
    if not archive.is_file():
        pytest.skip(f"the pack {archive} is not here")
    found = {}
    with tarfile.open(archive, "r:xz") as members:
        for member in members:
            content = members.extractfile(member) if member.name.startswith(FOLDER) else None
            if content:
                found[member.name.removeprefix(FOLDER)] = content.read()
    return found


def known_failures() -> dict[str, str]:
    lines = [line for line in KNOWN_FAILURES.read_text("utf-8").splitlines() if line and line[0] != "#"]
    cells = [[cell.strip() for cell in line.split("|", 2)] for line in lines]
    return {name: reason for suite, name, reason in cells if suite == "fhirpath.js"}


def test_every_case_that_applies_passes_but_the_known_ones(pack: dict[str, bytes]) -> None:
    model = Model(load_definitions())
    resources = {name.removeprefix("resources/r4/"): content for name, content in pack.items()}
    files = {name.removeprefix("cases/"): raw for name, raw in pack.items() if name.startswith("cases/")}
    cases = [
        case
        for file, raw in files.items()
        if file not in OTHER_SUITES
        for case in cases_of(file, yaml.load(raw, yaml.CSafeLoader))
    ]
    faults = {case.name: said for case in cases if (said := fault(model, case, resources))}
    listed = known_failures()
    assert len(cases) > 750
    unexpected = {name: said for name, said in faults.items() if name not in listed}
    assert not unexpected
    assert not listed.keys() - faults.keys(), "these pass: take them from the list"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"expression": "1 + 1", "result": [3]}, "[2.0] instead of [3.0]"),
        ({"expression": "{}", "result": [3]}, "[] instead of [3.0]"),
        ({"expression": "1", "error": True}, "was not refused"),
        ({"expression": "1 + 'a'", "result": [1]}, "refused: Integer + String has no meaning"),
    ],
)
def test_the_runner_sees_planted_errors(row: dict[str, Any], said: str) -> None:
    (case,) = cases_of("planted.yaml", {"tests": [{"group: x": [row]}]})
    assert fault(Model(load_definitions()), case, {}) == said
