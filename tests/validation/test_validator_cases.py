"""Every row of tests/cases/validation: what is accepted, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from fhir_server.validation import Validator

CASES = Path(__file__).parents[1] / "cases" / "validation"


def rows(file: str) -> list[Any]:
    cases = yaml.safe_load((CASES / file).read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in cases]


def resource_of(case: dict[str, Any]) -> Any:
    """As the server meets it: through JSON text and orjson."""
    return orjson.loads(case["json"] if "json" in case else orjson.dumps(case["resource"]))


@pytest.mark.parametrize("case", rows("accepted.yaml"))
def test_legal_resources_give_no_issue(case: dict[str, Any], validator: Validator) -> None:
    assert validator.validate(resource_of(case)) == []


@pytest.mark.parametrize("case", rows("refused.yaml"))
def test_each_fault_is_told_with_code_place_and_words(case: dict[str, Any], validator: Validator) -> None:
    issues = validator.validate(resource_of(case))
    found = sorted((issue.code, issue.expression, issue.text) for issue in issues)
    expected = sorted(tuple(row) for row in case["issues"])
    assert [row[:2] for row in found] == [row[:2] for row in expected], found
    for (_, _, text), (_, _, part) in zip(found, expected, strict=True):
        assert part in text
    assert all(issue.severity == "error" for issue in issues)
