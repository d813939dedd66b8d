"""Records of another store, kept in a target as they were, in steps that may be cut off anywhere.

A target needs no note of how far it is: its greatest sequence is that, and it changes in the same transaction as the
records themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from fhir_server.errors import Conflict
from fhir_server.keeping.comparing import AT_ONCE, Comparison, Records
from fhir_server.search.contained import contained_key, contained_type
from fhir_server.store import Record, Store

LARGE: Final = 8 * 2**20
"""Bytes of content after which a transaction ends, however few versions it has."""

Told = Callable[[int], None]
"""Called with the sequence that has been reached."""

Arms = Mapping[str, frozenset[int]]


async def fill(target: Store, records: Records, told: Told) -> None:
    """Keep ``records``, which come after all that ``target`` has."""
    some: list[Record] = []
    size = 0
    async for record in records:
        some.append(record)
        size += len(record.content)
        if len(some) >= AT_ONCE or size >= LARGE:
            await _keep(target, some)
            told(record.sequence)
            some, size = [], 0
    if some:
        await _keep(target, some)
        told(some[-1].sequence)


async def _keep(target: Store, records: Iterable[Record]) -> None:
    async with target.transaction() as transaction:
        for record in records:
            await transaction.restore(record)


def require_beginning(comparison: Comparison, of: str) -> None:
    """Raises Conflict unless what the target has is a beginning of what it is to be given, erased things aside."""
    wrong = comparison.differing or comparison.missing
    if wrong or (comparison.extra and not comparison.common):
        named = ", ".join(wrong[:3]) or "nothing in common"
        raise Conflict(
            f"the target is not empty and not a part of {of} ({named}): choose an empty store; nothing was changed"
        )


def require_same(comparison: Comparison, of: str) -> None:
    """Raises Conflict unless both sides are the same."""
    if not comparison.is_same:
        wrong = [*comparison.differing, *comparison.missing, *(each.id for each in comparison.extra)]
        raise Conflict(
            f"the target is not the same as {of}: {len(wrong)} versions differ (the first: {', '.join(wrong[:3])}); "
            f"{comparison.left.versions} versions with the hash {comparison.left.sha256} became "
            f"{comparison.right.versions} with {comparison.right.sha256}"
        )


async def complete_arms(target: Store, arms: Arms) -> None:
    """Make the index rows of ``arms`` (type → keys), which were not in force when the records were kept."""
    for type, keys in arms.items():
        await _index(target, type, keys)
        await _index(target, contained_type(type), frozenset(map(contained_key, keys)))


async def _index(target: Store, type: str, keys: frozenset[int]) -> None:
    position: str | None = ""
    while position is not None:
        async with target.transaction() as transaction:
            position = (await transaction.index(type, keys, position, AT_ONCE)).position
