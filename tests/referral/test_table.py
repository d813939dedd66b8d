"""The guard table itself: what it must refuse to load, and that its codes are the published ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.referral.codes import BUSINESS_STATUS, IDENTITY_CHECK, TASK_CODE, TASK_IO
from fhir_server.referral.table import TABLE, load_workflow
from fhir_server.referral.workflow import Workflow

Table = dict[str, Any]
RULE = re.compile(r'"([A-Z]+(?:_[A-Z]+)+|UNCODED)"')
CODE_SYSTEMS = Path(__file__).parents[2] / "profiles" / "code-systems"


def _misspell(table: Table) -> None:
    table["moves"][0]["requiers"] = []


def _unknown_state(table: Table) -> None:
    table["moves"][1]["to"] = "nowhere"


def _unknown_datum(table: Table) -> None:
    table["moves"][1]["requires"].append("nothing")


def _unreachable(table: Table) -> None:
    table["states"]["island"] = {"status": "on-hold", "business": "on-hold", "label": "x", "terminal": True}


def _dead_end(table: Table) -> None:
    table["states"]["trap"] = {"status": "on-hold", "business": "on-hold", "label": "x"}
    table["moves"].append({"op": "hold", "from": ["underway"], "to": "trap", "who": ["receiver"]})


def _ambiguous(table: Table) -> None:
    table["moves"].append({"op": "accept", "from": ["requested"], "to": "accepted", "who": ["receiver"]})


def _same_way(table: Table) -> None:
    table["moves"].append({"op": "take", "from": ["requested"], "to": "received", "who": ["receiver"]})


def _after_the_end(table: Table) -> None:
    table["moves"].append({"op": "reopen", "from": ["completed"], "to": "underway", "who": ["receiver"]})


def _two_acts(table: Table) -> None:
    table["moves"].append({"op": "receive", "from": ["accepted"], "to": "underway", "who": ["receiver"]})


@pytest.mark.parametrize(
    ("breakage", "fault"),
    [
        (_misspell, "requiers"),
        (_unknown_state, "moves/submit: states has no 'nowhere'"),
        (_unknown_datum, "moves/submit: data has no 'nothing'"),
        (_unreachable, "state island cannot be reached"),
        (_dead_end, "state trap has no way to an end"),
        (_ambiguous, "requested has two moves called accept"),
        (_same_way, "two moves lead from requested to received"),
        (_after_the_end, "completed is terminal, yet reopen leaves it"),
        (_two_acts, "the moves called receive differ in their target or in who may make them"),
    ],
)
def test_a_table_that_cannot_work_is_refused(
    tmp_path: Path, breakage: Callable[[Table], None], fault: str
) -> None:
    table = yaml.safe_load(TABLE.read_text("utf-8"))
    breakage(table)
    broken = tmp_path / "transitions.yaml"
    broken.write_text(yaml.safe_dump(table, allow_unicode=True), "utf-8")
    with pytest.raises(ValueError, match="not sound") as refused:
        load_workflow(broken)
    assert fault in str(refused.value)


def _codes(name: str) -> tuple[str, dict[str, str]]:
    resource = json.loads((CODE_SYSTEMS / f"{name}.json").read_text("utf-8"))
    return resource["url"], {concept["code"]: concept["display"] for concept in resource["concept"]}


def test_every_business_status_is_published_with_the_tables_words(workflow: Workflow) -> None:
    url, published = _codes("referral-business-status")
    assert url == BUSINESS_STATUS
    used = {state.business: state.label for state in workflow.states.values() if state.business}
    assert used.items() <= published.items()


def test_every_vocabulary_of_the_table_is_published_and_the_other_way_round(workflow: Workflow) -> None:
    vocabularies = [datum.vocabulary for datum in workflow.data.values() if datum.vocabulary]
    assert len(vocabularies) == 4
    for vocabulary in vocabularies:
        url, published = _codes(vocabulary.system.rpartition("/")[2])
        assert (vocabulary.system, vocabulary.codes) == (url, tuple(published))


def test_every_input_output_and_child_is_published(workflow: Workflow) -> None:
    url, published = _codes("task-io")
    assert url == TASK_IO
    assert {datum.io for datum in workflow.data.values() if datum.io} <= set(published)
    url, published = _codes("task-code")
    assert url == TASK_CODE
    assert {child.code: child.label for child in workflow.children.values()}.items() <= published.items()
    assert _codes("identity-check")[0] == IDENTITY_CHECK
    assert "admission" in _codes("identity-check")[1]


def test_every_rule_that_an_error_names_is_published() -> None:
    _, published = _codes("error")
    package = TABLE.parents[1]
    sources = [
        file
        for floor in ("referral", "inbound", "mapping", "interactions")
        for file in (package / floor).rglob("*.py")
    ]
    used = {word for file in sources for word in RULE.findall(file.read_text("utf-8"))}
    assert "ILLEGAL_TRANSITION" in used
    assert used <= set(published)
