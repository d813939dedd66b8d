"""htmlChecks(): what a narrative may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fhir_server.fhirpath import Model, Node, compile_expression
from fhir_server.fhirpath.xhtml import is_narrative

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "fhirpath" / "narratives.yaml").read_text("utf-8")
)


def div(content: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>'


@pytest.mark.parametrize("content", CASES["accepted"])
def test_what_a_narrative_may_hold(content: str) -> None:
    assert is_narrative(div(content))


@pytest.mark.parametrize("content", CASES["refused"])
def test_what_a_narrative_may_not_hold(content: str) -> None:
    assert not is_narrative(div(content))


@pytest.mark.parametrize(
    "text",
    [
        "<div>no namespace</div>",
        '<p xmlns="http://www.w3.org/1999/xhtml">no div</p>',
        '<!DOCTYPE div [<!ENTITY x "y">]>' + div("&x;"),
        "text",
        None,
        7,
    ],
)
def test_what_is_no_narrative_at_all(text: object) -> None:
    assert not is_narrative(text)


def test_html_checks_looks_at_one_item(model: Model) -> None:
    patient = {"resourceType": "Patient", "text": {"status": "generated", "div": div("a")}}
    assert compile_expression("text.`div`.htmlChecks()", model)(Node.of(patient)) == [True]
    assert compile_expression("name.htmlChecks()", model)(Node.of(patient)) == []
