"""The checker finds planted faults in a recorded history, and none in the history as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from random import Random

import pytest
from linearizability import NOTHING, Kept, Operation, check

Histories = dict[str, list[Kept]]
Recorded = tuple[list[Operation], Histories]
SINGLE, PAIR = "a", ("x", "y")


def recorded(seed: int = 1, count: int = 400) -> Recorded:
    """What overlapping clients see of a store that does one thing after the other, each at a moment within its span."""
    chance, histories, operations = Random(seed), {key: [] for key in (SINGLE, *PAIR)}, []
    for number in range(count):
        moment = float(number)
        start, end = moment - chance.random() * 5, moment + chance.random() * 5
        operations.append(_operation(chance, histories, f"t{number}", start, end))
    return operations, histories


def _operation(chance: Random, histories: Histories, token: str, start: float, end: float) -> Operation:
    kind = chance.choice(["write", "condition", "refused", "unknown", "read", "both", "together"])
    keys = PAIR if kind in {"both", "together"} else (SINGLE,)
    now = {key: histories[key][-1] if histories[key] else NOTHING for key in keys}
    if kind in {"read", "together"}:
        return Operation("read" if kind == "read" else "read together", start, end, "ok", keys, seen=now)
    before = {key: now[key][0] for key in keys} if kind in {"condition", "both"} else {}
    if kind == "refused":
        return Operation("write", start, end, "refused", keys, token, expected={SINGLE: now[SINGLE][0] + 7})
    for key in keys:
        histories[key].append((len(histories[key]) + 1, token))
    if kind == "unknown":
        return Operation("write", start, inf, "unknown", keys, token)
    seen = {key: histories[key][-1] for key in keys}
    return Operation("write", start, end, "ok", keys, token, seen, before)


@pytest.mark.parametrize("seed", range(20))
def test_a_right_history_has_no_fault(seed: int) -> None:
    assert check(*recorded(seed)) == []


def _renumbered(tokens: list[str]) -> list[Kept]:
    return list(enumerate(tokens, 1))


def _tokens(histories: Histories, key: str) -> list[str]:
    return [token for _, token in histories[key]]


def _acknowledged(operations: list[Operation], key: str) -> Operation:
    return [each for each in operations if each.is_write and each.outcome == "ok" and key in each.keys][20]


def drop_the_last_writes(operations: list[Operation], histories: Histories) -> None:
    """A disk that lost what had not been flushed."""
    histories[SINGLE] = histories[SINGLE][:-30]


def drop_one_write(operations: list[Operation], histories: Histories) -> None:
    gone = _acknowledged(operations, SINGLE).token
    histories[SINGLE] = _renumbered([each for each in _tokens(histories, SINGLE) if each != gone])


def leave_a_gap(operations: list[Operation], histories: Histories) -> None:
    histories[SINGLE].pop(10)


def give_a_number_twice(operations: list[Operation], histories: Histories) -> None:
    version, _ = histories[SINGLE][10]
    histories[SINGLE][11] = (version, histories[SINGLE][11][1])


def swap_two_versions(operations: list[Operation], histories: Histories) -> None:
    tokens = _tokens(histories, SINGLE)
    tokens[20], tokens[40] = tokens[40], tokens[20]
    histories[SINGLE] = _renumbered(tokens)


def keep_half_a_transaction(operations: list[Operation], histories: Histories) -> None:
    place = next(n for n, each in enumerate(operations) if each.is_write and each.keys == PAIR)
    operations[place] = replace(operations[place], outcome="unknown", end=inf, seen={}, expected={})
    histories["y"] = _renumbered(
        [each for each in _tokens(histories, "y") if each != operations[place].token]
    )


def cross_transactions(operations: list[Operation], histories: Histories) -> None:
    operations[:] = [
        replace(each, outcome="unknown", end=inf, seen={}, expected={})
        if each.keys == PAIR and each.is_write
        else each
        for each in operations
        if each.kind != "read together"
    ]
    tokens = _tokens(histories, "y")
    tokens[5], tokens[6] = tokens[6], tokens[5]
    histories["y"] = _renumbered(tokens)


def read_something_stale(operations: list[Operation], histories: Histories) -> None:
    place = [n for n, each in enumerate(operations) if each.kind == "read"][-1]
    operations[place] = replace(operations[place], seen={SINGLE: histories[SINGLE][0]})


def read_what_was_undone(operations: list[Operation], histories: Histories) -> None:
    place = [n for n, each in enumerate(operations) if each.kind == "read"][-1]
    operations[place] = replace(operations[place], seen={SINGLE: (len(histories[SINGLE]), "nothing")})


def read_half_a_transaction(operations: list[Operation], histories: Histories) -> None:
    place = [n for n, each in enumerate(operations) if each.kind == "read together"][-1]
    seen = dict(operations[place].seen)
    seen["y"] = histories["y"][seen["y"][0] - 2]
    operations[place] = replace(operations[place], seen=seen)


def read_the_future(operations: list[Operation], histories: Histories) -> None:
    place = [n for n, each in enumerate(operations) if each.kind == "read"][3]
    operations[place] = replace(operations[place], seen={SINGLE: histories[SINGLE][-1]})


def keep_what_was_refused(operations: list[Operation], histories: Histories) -> None:
    refused = next(each for each in operations if each.outcome == "refused")
    histories[SINGLE].append((len(histories[SINGLE]) + 1, refused.token))


def ignore_a_condition(operations: list[Operation], histories: Histories) -> None:
    place = next(
        n for n, each in enumerate(operations) if each.keys == (SINGLE,) and each.expected and each.seen
    )
    operations[place] = replace(operations[place], expected={SINGLE: operations[place].expected[SINGLE] - 1})


def keep_what_nobody_wrote(operations: list[Operation], histories: Histories) -> None:
    histories[SINGLE].append((len(histories[SINGLE]) + 1, "nobody"))


PLANTED: list[tuple[Callable[[list[Operation], Histories], None], str]] = [
    (drop_the_last_writes, "lost"),
    (drop_one_write, "lost"),
    (leave_a_gap, "numbering"),
    (give_a_number_twice, "numbering"),
    (swap_two_versions, "order"),
    (keep_half_a_transaction, "half"),
    (cross_transactions, "crossed"),
    (read_something_stale, "order"),
    (read_what_was_undone, "phantom"),
    (read_half_a_transaction, "torn"),
    (read_the_future, "early"),
    (keep_what_was_refused, "refused"),
    (ignore_a_condition, "condition"),
    (keep_what_nobody_wrote, "invented"),
]


@pytest.mark.parametrize(("plant", "kind"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_fault_is_found(plant: Callable[[list[Operation], Histories], None], kind: str) -> None:
    operations, histories = recorded()
    plant(operations, histories)
    assert kind in {fault.kind for fault in check(operations, histories)}
