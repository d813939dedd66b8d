"""Reading ``transitions.yaml``, and refusing a table that cannot work.

A table that is misspelled, ambiguous, or has a state that cannot be reached or left stops the server at
its start, with every fault named; so a server that runs has a sound one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import yaml

from fhir_server.referral.workflow import PRIORITIES, Child, Datum, Edits, Move, State, Vocabulary, Workflow

TABLE = Path(__file__).with_name("transitions.yaml")
SCHEMA = Path(__file__).with_name("transitions.schema.json")


@cache
def load_workflow(path: Path = TABLE) -> Workflow:
    """Read and check the table. Raises ValueError with every fault, one a line."""
    table = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe
    _refuse(_schema_faults(table))
    _refuse(_unknown_names(table))
    workflow = _build(table)
    _refuse(_unsound(workflow))
    return workflow


def _refuse(faults: Iterable[str]) -> None:
    if listed := list(faults):
        raise ValueError("the referral table is not sound:\n" + "\n".join(f"- {fault}" for fault in listed))


def _schema_faults(table: Any) -> Iterable[str]:
    validator = jsonschema_rs.validator_for(orjson.loads(SCHEMA.read_bytes()))
    for error in validator.iter_errors(table):
        yield f"{'/'.join(map(str, error.instance_path)) or 'table'}: {error.message}"


def _unknown_names(table: dict[str, Any]) -> list[str]:
    """Names that are used and that nothing defines."""
    used: list[tuple[str, str, str]] = []
    for move in table["moves"]:
        where = f"moves/{move['op']}"
        used += [(where, "states", name) for name in (*move["from"], move["to"])]
        used += [(where, "data", name) for name in (*move.get("requires", ()), *move.get("takes", ()))]
    used += [
        (f"states/{n}", "children", row["child"]) for n, row in table["states"].items() if "child" in row
    ]
    used += [
        (f"data/{n}", "vocabularies", row["codes"]) for n, row in table["data"].items() if "codes" in row
    ]
    return [f"{where}: {kind} has no {name!r}" for where, kind, name in used if name not in table[kind]]


def _build(table: dict[str, Any]) -> Workflow:
    words = {
        name: Vocabulary(row["system"], tuple(row["codes"])) for name, row in table["vocabularies"].items()
    }
    data = {name: _datum(name, row, words) for name, row in table["data"].items()}
    return Workflow(
        states={name: _state(name, row) for name, row in table["states"].items()},
        data=data,
        moves=tuple(_move(row, data) for row in table["moves"]),
        children={code: _child(code, row) for code, row in table["children"].items()},
        edits=Edits(**{kind: frozenset(names) for kind, names in table["edits"].items()}),
    )


def _state(name: str, row: dict[str, Any]) -> State:
    return State(
        name=name,
        status=row.get("status"),
        business=row.get("business"),
        label=row["label"],
        plain=row.get("plain", False),
        terminal=row.get("terminal", False),
        service_request=row.get("service-request"),
        encounter=row.get("encounter"),
        child=row.get("child"),
    )


def _datum(name: str, row: dict[str, Any], vocabularies: Mapping[str, Vocabulary]) -> Datum:
    return Datum(
        name=name,
        resource=row.get("resource", "Task"),
        elements=(row["element"], row["or"]) if "or" in row else (row["element"],),
        io=row.get("io"),
        parameter=row.get("parameter"),
        value=row.get("value"),
        targets=tuple(row.get("targets", ())),
        vocabulary=vocabularies.get(row.get("codes", "")),
        fresh=row.get("fresh", False),
        text=row["text"],
    )


def _move(row: dict[str, Any], data: Mapping[str, Datum]) -> Move:
    return Move(
        op=row["op"],
        sources=tuple(row["from"]),
        target=row["to"],
        who=frozenset(row["who"]),
        priorities=tuple(row.get("priority", PRIORITIES)),
        requires=tuple(data[name] for name in row.get("requires", ())),
        takes=tuple(data[name] for name in row.get("takes", ())),
        children_done="children" in row,
    )


def _child(code: str, row: dict[str, Any]) -> Child:
    return Child(code, row["label"], "closes" in row)


def _unsound(workflow: Workflow) -> list[str]:
    """What the schema cannot say: moves are unambiguous, every state can be reached and brought to an end."""
    edges = [(move, source) for move in workflow.moves for source in move.sources]
    faults = _doubles("{1} has two moves called {0}", [(move.op, source) for move, source in edges])
    faults += _doubles("two moves lead from {0} to {1}", [(source, move.target) for move, source in edges])
    faults += _doubles("two states are {0}/{1}", [(s.status, s.business) for s in workflow.states.values()])
    forward = [(source, move.target) for move, source in edges]
    ends = {name for name, state in workflow.states.items() if state.terminal}
    lost = set(workflow.states) - _closure({"new"}, forward)
    stuck = set(workflow.states) - _closure(ends, [(target, source) for source, target in forward])
    faults += [f"state {name} cannot be reached" for name in sorted(lost)]
    faults += [f"state {name} has no way to an end" for name in sorted(stuck)]
    faults += [f"{source} is terminal, yet {move.op} leaves it" for move, source in edges if source in ends]
    return faults + _mixed_operations(workflow)


def _mixed_operations(workflow: Workflow) -> list[str]:
    """An operation is one act: it always leads to the same state and is the same side's."""
    acts = {op: {(move.target, move.who) for move in workflow.named(op)} for op in workflow.operations}
    text = "the moves called {} differ in their target or in who may make them"
    return [text.format(op) for op, kinds in acts.items() if len(kinds) > 1]


def _doubles(text: str, pairs: list[tuple[Any, Any]]) -> list[str]:
    return [text.format(*pair) for pair in dict.fromkeys(pairs) if pairs.count(pair) > 1]


def _closure(start: set[str], edges: list[tuple[str, str]]) -> set[str]:
    reached = set(start)
    while more := {target for source, target in edges if source in reached} - reached:
        reached |= more
    return reached
