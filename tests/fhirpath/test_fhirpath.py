"""The FHIRPath engine against its tables, and every expression of R4's search parameters."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.errors import Unprocessable
from fhir_server.fhirpath import ExpressionError, Model, Node, compile_expression, parse
from fhir_server.fhirpath.ast import Literal, alternatives, quoted
from fhir_server.fhirpath.moments import TEMPORAL, Moment, moment
from fhir_server.fhirpath.quantities import Quantity
from fhir_server.fhirpath.scope import Scope
from fhir_server.fhirpath.values import system_value

CASES = Path(__file__).parents[1] / "cases" / "fhirpath"
EVALUATED = (
    "evaluation",
    "collections",
    "conversion",
    "dates",
    "functions",
    "numbers",
    "quantities",
    "texts",
)
"""Tables of expressions on the Patient of ``conftest.py``; their sections ``faults`` name what is refused."""


def table(name: str) -> dict[str, list[Any]]:
    content: dict[str, list[Any]] = yaml.safe_load((CASES / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


PARSING = table("parsing")
SECTIONS = [(section, rows) for name in EVALUATED for section, rows in table(name).items()]
FAULTS = [row for section, rows in SECTIONS if section == "faults" for row in rows]
ROWS = [row for section, rows in SECTIONS if section != "faults" for row in rows]


def shown(item: Any) -> Any:
    """An item as the tables write it: dates with @, quantities as literals, Decimals as numbers with a point."""
    if isinstance(item, Moment):
        return f"@{item.text}"
    if isinstance(item, Decimal):
        return float(item)
    if isinstance(item, Quantity):
        return str(item)
    if not isinstance(item, Node):
        return item
    return f"<{item.type}>" if item.path else item.value


# ── evaluation ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("row", ROWS, ids=[row["expression"] for row in ROWS])
def test_an_expression_gives_what_its_row_says(
    row: dict[str, Any], model: Model, patient: dict[str, Any]
) -> None:
    found = [shown(item) for item in compile_expression(row["expression"], model)(Node.of(patient))]
    assert found == row["gives"]
    assert [type(item) for item in found] == [type(item) for item in row["gives"]]


@pytest.mark.parametrize("row", FAULTS, ids=[row["expression"] for row in FAULTS])
def test_a_fault_in_the_data_names_position_and_cause(
    row: dict[str, Any], model: Model, patient: dict[str, Any]
) -> None:
    compiled = compile_expression(row["expression"], model)
    with pytest.raises(ExpressionError) as caught:
        compiled(Node.of(patient))
    assert (caught.value.position, caught.value.cause) == (row["at"], row["cause"])


def test_a_canonical_form_means_the_same(model: Model, patient: dict[str, Any]) -> None:
    for row in ROWS:
        again = compile_expression(str(parse(row["expression"])), model)
        assert [shown(item) for item in again(Node.of(patient))] == row["gives"], row["expression"]


def test_variables_and_a_resolver_come_with_the_scope(model: Model, patient: dict[str, Any]) -> None:
    organization = Node.of({"resourceType": "Organization", "name": "Found"})
    scope = Scope({"%mine": ["x"]}, resolve=lambda reference: organization)
    node = Node.of(patient)
    assert compile_expression("%mine", model)(node, scope) == ["x"]
    names = compile_expression("Patient.managingOrganization.resolve().name", model)(node, scope)
    assert [item.value for item in names] == ["Found"]


def test_an_expression_runs_on_several_items(model: Model) -> None:
    found = compile_expression("given", model)([Node({"given": [g]}, "HumanName", "HumanName") for g in "ab"])
    assert [item.value for item in found] == ["a", "b"]


def test_a_primitive_without_value_but_with_an_extension_is_an_item(model: Model) -> None:
    patient = {"resourceType": "Patient", "name": [{"given": ["A", None], "_given": [None, {"id": "x"}]}]}
    found = compile_expression("Patient.name.given", model)(Node.of(patient))
    assert [(item.value, item.extra) for item in found] == [("A", None), (None, {"id": "x"})]


def test_data_that_is_no_date_stays_a_text(model: Model) -> None:
    node = Node.of({"resourceType": "Patient", "birthDate": "unknown"})
    assert compile_expression("Patient.birthDate = 'unknown'", model)(node) == [True]


# ── parsing ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("text", "form"), PARSING["canonical"])
def test_the_canonical_form_shows_how_an_expression_is_read(text: str, form: str) -> None:
    assert str(parse(text)) == form
    assert parse(text) == parse(form)


@pytest.mark.parametrize(("text", "position", "cause"), PARSING["faults"])
def test_a_fault_in_the_text_names_position_and_cause(text: str, position: int, cause: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert (caught.value.position, caught.value.cause) == (position, cause)
    assert isinstance(caught.value, Unprocessable)
    assert f"at position {position} of" in str(caught.value)


@pytest.mark.parametrize(("text", "position", "cause"), PARSING["uncompilable"])
def test_what_cannot_be_compiled_names_position_and_cause(
    model: Model, text: str, position: int, cause: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, model)
    assert caught.value.position == position
    assert caught.value.cause.startswith(cause)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "-" * 5000 + "1",
        "a" + "[0" * 5000,
        "a" + ".b" * 5000,
        "1" + "|1" * 5000,
    ],
)
def test_hostile_nesting_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match="more than"):
        parse(text)


@given(st.text())
def test_a_quoted_text_comes_back(text: str) -> None:
    tree = parse(quoted(text))
    assert isinstance(tree, Literal)
    assert tree.value == text


@given(st.text(alphabet="ab.()[]|'@%$1 =<andor{}`,\\T:-+"))
def test_any_text_is_read_or_refused_with_a_position(text: str) -> None:
    try:
        parse(text)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)


# ── R4's search parameters ────────────────────────────────────────────────────


def test_every_expression_of_r4s_search_parameters_compiles_and_evaluates(model: Model) -> None:
    definitions = model.definitions
    components = [text for item in definitions.search_parameters for _, text in item.components]
    texts = {item.expression for item in definitions.search_parameters if item.expression} | set(components)
    texts.discard("value.as(DateTime) | value.as(Period)")
    assert len(texts) > 1000
    nodes = [Node.of({"resourceType": type}) for type in sorted(definitions.resource_types)]
    for text in texts:
        compiled = compile_expression(text, model)
        found = [item for node in nodes for item in compiled(node)]
        assert all(item is False or item.type in {"Observation"} for item in found), text


def test_sides_of_a_union_are_flattened() -> None:
    assert [str(side) for side in alternatives(parse("a | b.c | d"))] == ["a", "b.c", "d"]


def test_every_kind_of_moment_has_a_type() -> None:
    assert {
        moment("time" if kind == "time" else kind, "10:30" if kind == "time" else "2015").type
        for kind in TEMPORAL
    } == {
        "Date",
        "DateTime",
        "Time",
    }
    assert system_value(Node("10:30:00", "time", "")).is_clock
