"""Two runs of versions, each in the order of writing, laid side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from fhir_server.keeping.lines import write_line
from fhir_server.store import Record, Store

AT_ONCE: Final = 500
"""Versions that are read, and kept, in one go."""

ENOUGH: Final = 1000
"""Versions that differ or are missing, after which a comparison goes no further."""

Records = AsyncIterator[Record]


async def writes(store: Store, after: int, through: int) -> Records:
    """What ``store`` wrote after ``after``, ``through`` included, oldest first."""
    while after < through:
        records = await store.changes(after, AT_ONCE)
        for record in records:
            if record.sequence > through:
                return
            yield record
        if not records:
            return
        after = records[-1].sequence


class Tally:
    """How many versions there are of each type, and one hash over all of them in their order."""

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self._hash = sha256()

    def add(self, record: Record) -> None:
        """Count ``record`` in."""
        self.types[record.type] += 1
        self._hash.update(write_line(record))

    @property
    def versions(self) -> int:
        """How many there are."""
        return self.types.total()

    @property
    def sha256(self) -> str:
        """The hash, in hexadecimal."""
        return self._hash.hexdigest()


@dataclass
class Comparison:
    """What two runs have and the other has not. ``differing`` and ``missing`` name versions: "Patient/1/_history/2"."""

    left: Tally = field(default_factory=Tally)
    right: Tally = field(default_factory=Tally)
    common: int = 0
    differing: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """On the left only."""
    extra: list[Record] = field(default_factory=list)
    """On the right only, without their content."""

    @property
    def is_hopeless(self) -> bool:
        """So much is wrong that it is another store."""
        return len(self.differing) + len(self.missing) >= ENOUGH

    @property
    def is_same(self) -> bool:
        """Nothing differs, by counts and by hashes."""
        return not (self.differing or self.missing or self.extra) and self.left.sha256 == self.right.sha256


async def compare(left: Records, right: Records) -> Comparison:
    """Lay ``left`` and ``right`` side by side, to the end or until it is hopeless."""
    found = Comparison()
    one, other = await anext(left, None), await anext(right, None)
    while (one is not None or other is not None) and not found.is_hopeless:
        if other is None or (one is not None and one.sequence < other.sequence):
            assert one is not None
            found.left.add(one)
            found.missing.append(name_of(one))
            one = await anext(left, None)
        elif one is None or other.sequence < one.sequence:
            found.right.add(other)
            found.extra.append(_head(other))
            other = await anext(right, None)
        else:
            found.left.add(one)
            found.right.add(other)
            _note(found, one, other)
            one, other = await anext(left, None), await anext(right, None)
    return found


def _note(found: Comparison, one: Record, other: Record) -> None:
    if one == other:
        found.common += 1
    else:
        found.differing.append(name_of(other))


def name_of(record: Record) -> str:
    """For people: the address of the version. No patient data: of the server's own records only the type."""
    return record.type if record.type[0] == "_" else f"{record.type}/{record.id}/_history/{record.version}"


def _head(record: Record) -> Record:
    return Record(
        record.type, record.id, record.version, record.updated, record.method, b"", record.sequence, record.number
    )  # fmt: skip
