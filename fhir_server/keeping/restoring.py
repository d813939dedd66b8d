"""A store from a backup: the versions replayed in the order they were written, all of them or up to a moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from fhir_server.errors import InvalidContent, NotFound
from fhir_server.keeping.comparing import Records, Tally, compare, writes
from fhir_server.keeping.filling import Told, fill, require_beginning, require_same
from fhir_server.keeping.folder import MANIFEST, Manifest, Moment, read_manifest, read_part
from fhir_server.store import Store

BACKUP = "the backup"


class Cut(NamedTuple):
    """Up to where a backup is restored, and the greatest numbers that the store had given out by then."""

    sequence: int
    number: int


async def restore(
    folder: Path, target: Store, until: int | None, complete: Callable[[], Awaitable[None]], told: Told
) -> Tally:
    """Make ``target``, which is empty, what the backup in ``folder`` says; what there is now. Cut off, it goes on when
    called again.

    ``until`` (microseconds since 1970 UTC): nothing from the first write that was made later. ``complete`` completes
    the index of the target. Raises InvalidContent for a damaged backup (before anything is written), NotFound for none,
    Conflict when the target holds something else.
    """
    manifest = read_manifest(folder)
    if manifest is None or not manifest.moments:
        raise NotFound(f"{folder} has no complete backup (no {MANIFEST})")
    cut = await _check(folder, manifest, until)
    begun, _ = await target.reached()
    if begun:
        there = _read(folder, manifest, 0, min(begun, cut.sequence))
        found = await compare(there, writes(target, 0, begun))
        require_beginning(found, BACKUP)
        require_same(found, BACKUP)
    await fill(target, _read(folder, manifest, begun, cut.sequence), told)
    await complete()
    kept = await compare(_read(folder, manifest, 0, cut.sequence), writes(target, 0, cut.sequence))
    require_same(kept, BACKUP)
    async with target.transaction() as transaction:
        await transaction.reserve(*cut)
    return kept.right


async def _check(folder: Path, manifest: Manifest, until: int | None) -> Cut:
    """Read the whole backup, to know that it is whole and where to stop. Raises InvalidContent."""
    moment: Moment = manifest.moments[-1]
    last = number = 0
    stop: Cut | None = None
    async for record in _read(folder, manifest, 0, manifest.last):
        if record.sequence <= last:
            raise InvalidContent(f"write {record.sequence} stands behind write {last} in the backup")
        if stop is None and until is not None and record.updated > until:
            stop = Cut(last, number)
        last, number = record.sequence, max(number, record.number)
    whole = Cut(moment.sequence, moment.number)
    return min(stop, whole) if stop is not None else whole


async def _read(folder: Path, manifest: Manifest, after: int, through: int) -> Records:
    """The records of the backup after ``after``, ``through`` included."""
    for part in manifest.parts:
        if part.last <= after or part.first > through:
            continue
        for record in read_part(folder, part):
            if after < record.sequence <= through:
                yield record


def through(folder: Path) -> int:
    """The greatest sequence of the backup in ``folder``, 0 when there is none: how much there is to do."""
    manifest = read_manifest(folder)
    return manifest.last if manifest else 0
