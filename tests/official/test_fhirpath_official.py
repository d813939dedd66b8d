"""The official FHIRPath cases of R4: every one passes, except those of ``known_failures.txt`` with their reasons.

A case with ``invalid`` must be refused, by the check before evaluation or by the evaluation.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from fhir_server.definitions import Definitions, load_definitions
from fhir_server.fhirpath import ExpressionError, Model, Node, compile_expression
from fhir_server.fhirpath.checking import check
from fhir_server.fhirpath.quantities import Quantity
from fhir_server.fhirpath.values import system_value, text_of
from fhir_server.formats import from_xml
from fhir_server.model.exact import loads_exact

KNOWN_FAILURES = Path(__file__).parent / "known_failures.txt"
CASES = "fhirpath/tests-fhir-r4.xml"
MOST_FAILURES = 10
PACKS = {
    "fhir-test-cases": "/fhir-test-cases/r4/",
    "r4-examples-xml": "/",
}
"""Where input files may be, the first that has one counts."""
EARLY = frozenset({"id", "meta", "implicitRules", "language", "text", "contained"})
"""Elements of a resource that stand before its extensions."""


def known_failures() -> dict[str, str]:
    """``fhirpath | name | reason`` → name → reason."""
    lines = [line for line in KNOWN_FAILURES.read_text("utf-8").splitlines() if line and line[0] != "#"]
    rows = [[cell.strip() for cell in line.split("|", 2)] for line in lines]
    return {name: reason for suite, name, reason in rows if suite == "fhirpath"}


class Runner:
    """Runs one case (an element ``test``) and says what is wrong with the answer, None when nothing is."""

    def __init__(self, definitions: Definitions, inputs: dict[str, dict[str, Any]]) -> None:
        self.model = Model(definitions)
        self.inputs = inputs

    def fault(self, case: Any) -> str | None:
        expression = case.find("expression")
        resource = self.inputs.get(case.get("inputfile"), {"resourceType": "Basic"})
        try:
            found = self.evaluated(expression.text, resource, case, expression)
        except ExpressionError as error:
            return None if expression.get("invalid") else f"refused: {error.cause}"
        if expression.get("invalid"):
            return f"gave {found} instead of being refused"
        return self.difference(case, found)

    def evaluated(self, text: str, resource: dict[str, Any], case: Any, expression: Any) -> list[Any]:
        strict = case.get("mode") == "strict" or expression.get("invalid") == "semantic"
        if strict and (faults := check(text, self.model, resource["resourceType"])):
            raise faults[0]
        return compile_expression(text, self.model)(Node.of(resource))

    def difference(self, case: Any, found: list[Any]) -> str | None:
        wanted = case.findall("output")
        if case.get("predicate") == "true":
            found = [bool(found)]
        if len(found) != len(wanted):
            return f"{len(found)} items instead of {len(wanted)}: {found}"
        texts = [shown(item) for item in found]
        expected = [normal(output) for output in wanted]
        if case.get("ordered") == "false":
            texts, expected = sorted(texts), sorted(expected)
        return None if texts == expected else f"{texts} instead of {expected}"


def normal(output: Any) -> str:
    text = (output.text or "").removeprefix("@").removeprefix("T")
    return str(Decimal(text)) if output.get("type") == "decimal" else text


def shown(item: Any) -> str:
    """An item as the cases write it: quantities as literals, numbers of whole value without a point."""
    value = system_value(item)
    if isinstance(value, Decimal):
        return str(value)
    return str(value) if isinstance(value, Quantity) else str(text_of(value))


def in_order(content: bytes) -> bytes:
    """One input has its extensions too late; our reader keeps to the order of the standard."""
    root = etree.fromstring(
        content, etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
    )
    first = next((child for child in root if etree.QName(child).localname not in EARLY), None)
    for extension in [child for child in root if etree.QName(child).localname == "extension"]:
        if first is not None and first is not extension:
            first.addprevious(extension)
    return etree.tostring(root)


def members(archive: Path, wanted: dict[str, str], start: str) -> Iterator[tuple[str, bytes]]:
    """The files of a pack whose path is ``start`` (anywhere) and one of ``wanted``."""
    with tarfile.open(archive, "r:xz") as pack:
        for member in pack:
            folder, _, name = member.name.rpartition("/")
            if name in wanted and f"/{folder}/".endswith(start + wanted[name]):
                content = pack.extractfile(member)
                if content:
                    yield name, content.read()


@pytest.fixture(scope="module")
def packs(shared: Path) -> dict[str, Path]:
    found = {name: shared / "data" / f"{name}.tar.xz" for name in PACKS}
    if missing := [str(path) for path in found.values() if not path.is_file()]:
        pytest.skip(f"the packs {', '.join(missing)} are not here")
    return found


@pytest.fixture(scope="module")
def cases(packs: dict[str, Path]) -> list[Any]:
    folder, name = CASES.split("/")
    found = dict(members(packs["fhir-test-cases"], {name: f"{folder}/"}, PACKS["fhir-test-cases"]))
    root = etree.fromstring(found[name], etree.XMLParser(resolve_entities=False, no_network=True))
    return list(root.iter("test"))


@pytest.fixture(scope="module")
def runner(packs: dict[str, Path], cases: list[Any]) -> Runner:
    definitions = load_definitions()
    wanted = {str(case.get("inputfile")): "" for case in cases if case.get("inputfile")}
    inputs: dict[str, dict[str, Any]] = {}
    for pack, start in PACKS.items():
        open_ones = {name: folder for name, folder in wanted.items() if name not in inputs}
        for name, content in members(packs[pack], open_ones, start):
            raw = from_xml(definitions, in_order(content)) if name.endswith(".xml") else content
            inputs.setdefault(name, loads_exact(raw))
    assert inputs.keys() == wanted.keys()
    return Runner(definitions, inputs)


def test_every_case_passes_but_the_known_ones(cases: list[Any], runner: Runner) -> None:
    faults = {case.get("name"): fault for case in cases if (fault := runner.fault(case))}
    listed = known_failures()
    assert len(cases) >= 935
    assert len(listed) <= MOST_FAILURES
    unexpected = {name: fault for name, fault in faults.items() if name not in listed}
    assert not unexpected
    assert not listed.keys() - faults.keys(), "these pass: take them from the list"


def test_every_known_failure_has_a_reason() -> None:
    assert all(len(reason) > 40 for reason in known_failures().values())


PLANTED = {
    "<test><expression>1 + 1</expression><output type='integer'>3</output></test>": "['2'] instead of ['3']",
    "<test><expression>1</expression></test>": "1 items instead of 0: [1]",
    "<test><expression>{}</expression><output type='integer'>3</output></test>": "0 items instead of 1: []",
    "<test><expression invalid='execution'>1</expression></test>": "gave [1] instead of being refused",
    "<test><expression>1 + 'a'</expression><output type='integer'>3</output></test>": (
        "refused: Integer + String has no meaning"
    ),
    "<test predicate='true'><expression>{}</expression><output type='boolean'>true</output></test>": (
        "['false'] instead of ['true']"
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_the_runner_sees_planted_errors(case: str) -> None:
    assert Runner(load_definitions(), {}).fault(etree.fromstring(case)) == PLANTED[case]
