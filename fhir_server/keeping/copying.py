"""One store into another, with history, sequences and numbers: clients get the same from the copy, byte for byte.

The source may be in use: the copy is the source as one write left it, and copying again adds what was written since.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fhir_server.errors import Conflict
from fhir_server.keeping.comparing import Tally, compare, writes
from fhir_server.keeping.filling import Told, fill, require_beginning, require_same
from fhir_server.store import Record, Store

SOURCE = "the source"


async def copy(source: Store, target: Store, complete: Callable[[], Awaitable[None]], told: Told) -> Tally:
    """Make ``target`` the same as ``source`` is now; what there is now. Cut off, it goes on when called again.

    ``complete`` completes the index of the target. Raises Conflict when the target holds something else, or when it is
    not the same in the end.
    """
    through, number = await source.reached()
    begun, _ = await target.reached()
    if begun > through:
        raise Conflict(
            "the target has been written to since it was copied: choose an empty store; nothing was changed"
        )
    if begun:
        await _take_up(source, target, begun)
    await fill(target, writes(source, begun, through), told)
    await complete()
    tally = await _verified(source, target, through)
    async with target.transaction() as transaction:
        await transaction.reserve(through, number)
    return tally


async def _take_up(source: Store, target: Store, begun: int) -> None:
    found = await compare(writes(source, 0, begun), writes(target, 0, begun))
    require_beginning(found, SOURCE)
    await _drop(source, target, found.extra)


async def _verified(source: Store, target: Store, through: int) -> Tally:
    found = await compare(writes(source, 0, through), writes(target, 0, through))
    if found.extra and not (found.differing or found.missing):
        await _drop(source, target, found.extra)
        found = await compare(writes(source, 0, through), writes(target, 0, through))
    require_same(found, SOURCE)
    return found.right


async def _drop(source: Store, target: Store, extra: list[Record]) -> None:
    """Remove from the target what the source has erased since it was copied."""
    for record in extra:
        async with target.transaction() as transaction:
            if await _lives(source, record):
                await transaction.forget(record.type, record.id, record.version)
            else:
                await transaction.erase(record.type, record.id)


async def _lives(source: Store, record: Record) -> bool:
    """Whether the source has later versions of the resource; False when its id was free in between."""
    current = await source.read(record.type, record.id)
    if current is None:
        return False
    (found,) = await source.changes(current.sequence - 1, 1)
    return found.number == record.number
