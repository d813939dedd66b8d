"""The check before evaluation: what cannot be meant is named, what can is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fhir_server.fhirpath import ExpressionError, Model
from fhir_server.fhirpath.checking import check

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "fhirpath" / "checking.yaml").read_text("utf-8")
)


@pytest.mark.parametrize(("expression", "causes"), CASES["refused"])
def test_what_cannot_be_meant_is_named(model: Model, expression: str, causes: list[str]) -> None:
    assert [fault.cause for fault in check(expression, model, "Patient")] == causes


@pytest.mark.parametrize("expression", CASES["accepted"])
def test_what_can_be_meant_is_left_alone(model: Model, expression: str) -> None:
    assert check(expression, model, "Patient") == []


def test_a_fault_says_where_it_is(model: Model) -> None:
    (fault,) = check("Patient.name.givn", model, "Patient")
    assert fault.position == 13


def test_a_text_that_cannot_be_read_is_refused(model: Model) -> None:
    with pytest.raises(ExpressionError):
        check("name.", model, "Patient")


def test_every_expression_of_r4s_search_parameters_can_be_meant(model: Model) -> None:
    definitions = model.definitions
    refused = {
        (item.code, base)
        for item in definitions.search_parameters
        for base in item.base
        if item.expression and base in definitions.resource_types and "|" not in item.expression
        if check(item.expression, model, base)
    }
    assert refused == set()
