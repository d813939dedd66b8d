"""The official R4 cases of FHIRPath Patch and JSON Patch. A case gives a document, a patch, and the result or an error.

The FHIRPath cases are written in XML; they are read with the server's own codec. Cases of XML Patch are not run:
the server does not offer it.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from lxml import etree

from fhir_server.definitions import load_definitions
from fhir_server.errors import FhirError
from fhir_server.formats import from_xml
from fhir_server.interactions.patches import fhir_patch, json_patch
from fhir_server.model.exact import loads_exact
from fhir_server.validation import Validator

FOLDER = "test-cases/fhir-test-cases/r4/patch/"
FHIR_CASES, JSON_CASES = 33, 16


class Case(NamedTuple):
    """``expected`` None: applying ``patch`` to ``before`` must be refused."""

    name: str
    before: Any
    patch: Any
    expected: Any


def failures(cases: Iterator[Case], apply: Callable[[Any, Any], Any]) -> list[str]:
    """The names of the cases that do not come out as they should."""
    return [case.name for case in cases if _outcome(case, apply) != case.expected]


def _outcome(case: Case, apply: Callable[[Any, Any], Any]) -> Any:
    try:
        return apply(case.before, case.patch)
    except FhirError:
        return None


@pytest.fixture(scope="module")
def pack(shared: Path) -> dict[str, bytes]:
    """The files of the cases by name."""
    file = shared / "data/fhir-test-cases.tar.xz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not there")
    with tarfile.open(file, "r:xz") as archive:
        members = (item for item in archive if item.isfile() and item.name.startswith(FOLDER))
        return {item.name.removeprefix(FOLDER): archive.extractfile(item).read() for item in members}  # type: ignore[union-attr]


def json_cases(pack: dict[str, bytes]) -> Iterator[Case]:
    for item in json.loads(pack["json-patch-tests.json"]):
        yield Case(item["comment"], item["doc"], item["patch"], item.get("expected"))


@pytest.fixture(scope="module")
def definitions():
    return load_definitions()


@pytest.fixture(scope="module")
def fhir_cases(pack: dict[str, bytes], definitions) -> list[Case]:
    def read(case: etree._Element, name: str) -> Any:
        holder = case.find(name)
        if holder is None:
            return None
        resource = next(item for item in holder if isinstance(item.tag, str))
        return from_xml(definitions, etree.tostring(resource, with_tail=False))

    found = []
    for case in etree.fromstring(pack["fhir-patch-tests.xml"]).iter("case"):
        output = read(case, "output")
        expected = None if output is None else loads_exact(output)
        found.append(Case(case.get("name") or "", read(case, "input"), read(case, "diff"), expected))
    return found


@pytest.fixture(scope="module")
def apply_fhir(definitions) -> Callable[[Any, Any], Any]:
    validator = Validator(definitions)

    def apply(before: bytes, patch: bytes) -> Any:
        return fhir_patch.parse(definitions, validator.validate, patch)(loads_exact(before))

    return apply


def apply_json(before: Any, patch: Any) -> Any:
    return json_patch.parse(patch)(before)


def test_every_json_patch_case(pack):
    assert len(list(json_cases(pack))) == JSON_CASES
    assert failures(json_cases(pack), apply_json) == []


def test_every_fhirpath_patch_case(fhir_cases, apply_fhir):
    assert len(fhir_cases) == FHIR_CASES
    assert failures(iter(fhir_cases), apply_fhir) == []


def test_the_runner_finds_a_planted_error(pack, fhir_cases, apply_fhir):
    for cases, apply in ((list(json_cases(pack)), apply_json), (fhir_cases, apply_fhir)):
        refused = next(case for case in cases if case.expected is None)
        done = next(case for case in cases if case.expected is not None)
        planted = [refused._replace(expected=done.expected), done._replace(expected=None)]
        planted.append(done._replace(expected={**done.expected, "planted": 1}))
        assert failures(iter(planted), apply) == [case.name for case in planted]
