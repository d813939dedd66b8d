"""The validator does not cry wolf: every official example passes, except those that R4 itself got wrong."""

from __future__ import annotations

import tarfile
from pathlib import Path

import orjson
import pytest

from fhir_server.definitions import load_definitions
from fhir_server.validation import Validator

DEFECTIVE = Path(__file__).parent / "known_defective_examples.txt"
PACKS = {
    "r4-examples": ("", 570),
    "us-core-examples": ("", 190),
    "synthea-small-20": ("", 20),
    "r4-definitions": ("definitions/hl7.fhir.r4.core-4.0.1/", 4500),
}
"""Pack → where its resources begin, and how many there are at least."""


def known_defective(pack: str) -> dict[str, tuple[str, str]]:
    """``pack | file | expression | reason`` → file → (expression, reason)."""
    lines = [line for line in DEFECTIVE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {file: (expression, reason) for name, file, expression, reason in rows if name == pack}


@pytest.fixture(scope="module")
def official_validator() -> Validator:
    return Validator(load_definitions())


@pytest.mark.parametrize("pack", PACKS)
def test_only_the_listed_examples_are_refused(pack: str, shared: Path, official_validator: Validator) -> None:
    folder, fewest = PACKS[pack]
    archive = shared / "data" / f"{pack}.tar.xz"
    if not archive.is_file():
        pytest.skip(f"the pack {archive} is not here")
    refused: dict[str, list[str]] = {}
    seen = 0
    with tarfile.open(archive, "r:xz") as members:
        for member in members:
            is_wanted = member.name.startswith(folder) and member.name.endswith(".json")
            content = members.extractfile(member) if is_wanted else None
            resource = orjson.loads(content.read()) if content else None
            if not isinstance(resource, dict) or "resourceType" not in resource:
                continue
            seen += 1
            issues = official_validator.validate(resource)
            if issues:
                refused["/".join(member.name.split("/")[-2:])] = [str(issue.expression) for issue in issues]
    listed = known_defective(pack)
    assert seen >= fewest
    assert refused.keys() == listed.keys()
    for file, expressions in refused.items():
        assert listed[file][0] in expressions


def test_every_listed_example_has_a_reason() -> None:
    for pack in PACKS:
        assert all(reason for _, reason in known_defective(pack).values())
