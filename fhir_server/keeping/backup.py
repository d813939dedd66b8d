"""A backup of a store that is in use, and what was written since the last one added to it.

A backup is the store as one write left it: versions are never changed, and sequences are in the order of commits, so
reading up to the greatest sequence of the beginning is a snapshot, however long it takes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Final

from fhir_server.errors import Conflict
from fhir_server.keeping.comparing import Records, writes
from fhir_server.keeping.filling import Told
from fhir_server.keeping.folder import (
    MANIFEST,
    Manifest,
    Moment,
    hash_of,
    locked,
    read_manifest,
    write_manifest,
    write_part,
)
from fhir_server.keeping.lines import write_line
from fhir_server.store import Record, Store

MOST: Final = 50_000
LARGE: Final = 64 * 2**20
"""Versions, and bytes of content, of one part: what memory holds, and what is done again after a kill."""


async def back_up(store: Store, folder: Path, now: datetime, told: Told) -> int:
    """Add to the backup in ``folder`` what ``store`` wrote since, all in a new one; how many versions that were.

    Raises Conflict when the folder has something else, or the backup of another store.
    """
    with locked(folder):
        manifest = read_manifest(folder) or _new(folder)
        sequence, number = await store.reached()
        await _require_origin(store, manifest, sequence)
        count = 0
        async for records in _in_parts(writes(store, manifest.last, sequence)):
            manifest.parts.append(write_part(folder, records))
            write_manifest(folder, manifest)
            told(records[-1].sequence)
            count += len(records)
        _note(manifest, Moment(now.isoformat(timespec="milliseconds"), sequence, number))
        write_manifest(folder, manifest)
    return count


def _new(folder: Path) -> Manifest:
    foreign = [each.name for each in folder.iterdir() if not each.name.endswith((".new", ".ndjson.zst"))]
    if foreign:
        raise Conflict(f"{folder} has files, but no {MANIFEST}: choose an empty folder")
    return Manifest(parts=[], moments=[])


def _note(manifest: Manifest, moment: Moment) -> None:
    """Add ``moment``; where nothing was written since the last one, it takes its place."""
    if manifest.moments and manifest.moments[-1].sequence == moment.sequence:
        manifest.moments.pop()
    manifest.moments.append(moment)


async def _in_parts(records: Records) -> AsyncIterator[list[Record]]:
    some: list[Record] = []
    size = 0
    async for record in records:
        some.append(record)
        size += len(record.content)
        if len(some) >= MOST or size >= LARGE:
            yield some
            some, size = [], 0
    if some:
        yield some


async def _require_origin(store: Store, manifest: Manifest, reached: int) -> None:
    """The last write of a part must be that of the store; when it was erased, an earlier part decides."""
    if reached < manifest.last:
        raise _of_another()
    for part in reversed(manifest.parts):
        found = await store.changes(part.last - 1, 1)
        if found and found[0].sequence == part.last:
            if hash_of(write_line(found[0])) == part.tail:
                return
            break
    if manifest.parts:
        raise _of_another()


def _of_another() -> Conflict:
    return Conflict(
        "the folder has the backup of another store, or of a later state of this one: choose an empty one"
    )
