"""Checks what clients saw of a server against what it kept: is there one order of everything that explains it?

Every write carries a text of its own (its token), and the server keeps every version. So the order need not be
searched for: the versions of a resource are the order of its writes, and a read of version v stands behind the write
of v. What is left to check is that this order has no gap, that it holds all that was acknowledged and nothing that
was refused, that it agrees with real time (what ended before another thing began comes before it), and that all
resources of a transaction have it, in the same order as those of any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from operator import attrgetter
from typing import Final, NamedTuple

Kept = tuple[int, str]
"""A version as the server tells it in the end: its number and its token."""

NOTHING: Final = (0, "")
"""What is read of a resource that is not there yet."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one client did from ``start`` to ``end`` (seconds; never answered: infinity).

    ``outcome`` is ``ok``, ``refused`` (nothing was written) or ``unknown``. A write has its ``token`` and the keys it
    writes; ``seen`` are the versions by key that a read found or a write was told; ``expected`` those that it was made
    conditional on.
    """

    kind: str
    start: float
    end: float
    outcome: str
    keys: tuple[str, ...]
    token: str = ""
    seen: Mapping[str, Kept] = field(default_factory=dict)
    expected: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_write(self) -> bool:
        return self.kind == "write"


class Fault(NamedTuple):
    """One thing that no order explains."""

    kind: str
    text: str


def check(operations: Sequence[Operation], histories: Mapping[str, Sequence[Kept]]) -> list[Fault]:
    """All faults of what was done (``operations``) and kept (``histories``: the versions by key, oldest first)."""
    order = {key: {token: version for version, token in kept} for key, kept in histories.items()}
    return [
        *_numbering(histories),
        *_acknowledged(operations, histories, order),
        *_refused(operations, order),
        *_conditions(operations, order),
        *_reads(operations, histories, order),
        *_real_time(operations, order),
        *_transactions(operations, order),
    ]


Order = Mapping[str, Mapping[str, int]]
"""key → token → version."""


def _numbering(histories: Mapping[str, Sequence[Kept]]) -> Iterator[Fault]:
    for key, kept in histories.items():
        numbers = [version for version, _ in kept]
        if numbers != list(range(1, len(numbers) + 1)):
            yield Fault("numbering", f"{key} has the versions {_shown(numbers)}")
        if len({token for _, token in kept}) != len(kept):
            yield Fault("twice", f"{key} has a write twice")


def _shown(numbers: Sequence[int]) -> str:
    odd = [number for place, number in enumerate(numbers, 1) if number != place]
    return f"1 to {len(numbers)} except {odd[:5]}"


def _acknowledged(
    operations: Sequence[Operation], histories: Mapping[str, Sequence[Kept]], order: Order
) -> Iterator[Fault]:
    for each in _writes(operations, "ok"):
        for key in each.keys:
            kept, told = order.get(key, {}).get(each.token), each.seen.get(key)
            if kept is None:
                yield Fault("lost", f"{each.token} was acknowledged for {key} and is not there")
            elif told is not None and told[0] != kept:
                yield Fault("renumbered", f"{each.token} of {key} was told as {told[0]} and is {kept}")
    written = {each.token for each in operations if each.is_write}
    for key, kept_versions in histories.items():
        for version, token in kept_versions:
            if token not in written:
                yield Fault("invented", f"{key}/{version} is nobody's write")


def _refused(operations: Sequence[Operation], order: Order) -> Iterator[Fault]:
    for each in _writes(operations, "refused"):
        for key in each.keys:
            if each.token in order.get(key, {}):
                yield Fault("refused", f"{each.token} was refused and is in {key}")


def _conditions(operations: Sequence[Operation], order: Order) -> Iterator[Fault]:
    for each in operations:
        for key, before in each.expected.items():
            version = order.get(key, {}).get(each.token)
            if version is not None and version != before + 1:
                yield Fault("condition", f"{each.token} of {key} follows {version - 1}, not {before}")


def _reads(
    operations: Sequence[Operation], histories: Mapping[str, Sequence[Kept]], order: Order
) -> Iterator[Fault]:
    kept = {(key, *each) for key, versions in histories.items() for each in versions}
    began = {each.token: each.start for each in operations if each.is_write}
    for each in operations:
        for key, (version, token) in each.seen.items() if not each.is_write else ():
            if (version, token) == NOTHING:
                continue
            if (key, version, token) not in kept:
                yield Fault("phantom", f"{key}/{version} was read as {token} and is not kept so")
            elif began.get(token, inf) > each.end:
                yield Fault("early", f"{token} of {key} was read before it was written")
        if each.kind == "read together":
            yield from _torn(each, order)


def _torn(read: Operation, order: Order) -> Iterator[Fault]:
    """Resources that are only ever written together are read together: all with the same token."""
    if len({token for _, token in read.seen.values()}) > 1:
        yield Fault("torn", f"a read of {', '.join(read.keys)} saw a part of a transaction")


def _real_time(operations: Sequence[Operation], order: Order) -> Iterator[Fault]:
    by_key: dict[str, list[_Placed]] = defaultdict(list)
    for each in operations:
        for key in each.keys:
            placed = _place(each, key, order)
            if placed is not None:
                by_key[key].append(placed)
    for key, some in by_key.items():
        yield from _out_of_order(key, some)


class _Placed(NamedTuple):
    """One operation on one resource, with the version that it wrote or read."""

    start: float
    end: float
    version: int
    is_write: bool


def _place(each: Operation, key: str, order: Order) -> _Placed | None:
    if each.is_write:
        version = order.get(key, {}).get(each.token)
        end = each.end if each.outcome == "ok" else inf
        return None if version is None else _Placed(each.start, end, version, True)
    if key not in each.seen:
        return None
    return _Placed(each.start, each.end, each.seen[key][0], False)


def _out_of_order(key: str, placed: Sequence[_Placed]) -> Iterator[Fault]:
    """What began after something had ended must come behind it."""
    ended = sorted(placed, key=attrgetter("end"))
    reached, highest = 0, 0
    for each in sorted(placed, key=attrgetter("start")):
        while ended[reached].end < each.start:
            highest = max(highest, ended[reached].version)
            reached += 1
        if each.version < highest + (1 if each.is_write else 0):
            what = "was written" if each.is_write else "was read"
            yield Fault("order", f"{key}/{each.version} {what} after version {highest} had been told")


def _transactions(operations: Sequence[Operation], order: Order) -> Iterator[Fault]:
    together: dict[tuple[str, ...], list[tuple[int, ...]]] = defaultdict(list)
    for each in operations:
        if not each.is_write or len(each.keys) < 2:
            continue
        versions = [order.get(key, {}).get(each.token) for key in each.keys]
        there = [version for version in versions if version is not None]
        if len(there) == len(versions):
            together[each.keys].append(tuple(there))
        elif there:
            yield Fault("half", f"{each.token} is in {len(there)} of {len(versions)} resources")
    for keys, versions_of_all in together.items():
        ranked = sorted(versions_of_all)
        if any(ranked != sorted(ranked, key=lambda row: row[place]) for place in range(len(keys))):
            yield Fault("crossed", f"transactions of {', '.join(keys)} came in different orders")


def _writes(operations: Sequence[Operation], outcome: str) -> Iterator[Operation]:
    return (each for each in operations if each.is_write and each.outcome == outcome)
