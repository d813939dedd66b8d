"""A backup on disk: a folder with parts and a manifest.

=================== ==========================================================================================
manifest.json       the parts with counts and hashes, and the moments that can be restored; written last, at once
000000000001.ndjson.zst  a part: versions in write order, one a line (``lines``), called by its first sequence
=================== ==========================================================================================

A part that the manifest does not name is the rest of a backup that was cut off: it counts for nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import msgspec
import zstandard

from fhir_server.errors import Conflict, InvalidContent
from fhir_server.keeping.comparing import Tally
from fhir_server.keeping.lines import read_line, write_line
from fhir_server.store import Record

FORMAT: Final = "fhir-server-backup"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"
LEVEL: Final = 3
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
"""Modes: a backup holds what the store holds, the signing key included."""
LONGEST: Final = 2**30
"""Bytes of one line; longer ones are damage."""


class Part(msgspec.Struct, frozen=True):
    """One file. ``sha256`` is of its lines (unpacked), ``tail`` of the last one alone."""

    file: str
    first: int
    last: int
    versions: int
    types: dict[str, int]
    sha256: str
    tail: str


class Moment(msgspec.Struct, frozen=True):
    """What can be restored: the store as the write ``sequence`` left it; ``taken`` is when it was backed up."""

    taken: str
    sequence: int
    number: int


class Manifest(msgspec.Struct):
    """What the folder has, in write order."""

    format: str = FORMAT
    version: int = VERSION
    parts: list[Part] = []
    moments: list[Moment] = []

    @property
    def last(self) -> int:
        """The greatest sequence in the parts."""
        return self.parts[-1].last if self.parts else 0


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of ``folder``, None when there is none yet. Raises InvalidContent for one that cannot be read."""
    file = folder / MANIFEST
    if not file.exists():
        return None
    try:
        manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise InvalidContent(f"{file} cannot be read: {error}") from error
    if manifest.format != FORMAT or manifest.version > VERSION:
        raise InvalidContent(
            f"{file} says {manifest.format} {manifest.version}; this program reads {FORMAT} up to {VERSION}"
        )
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest, durably: whoever reads it finds the old one or the new one."""
    beside = folder / f"{MANIFEST}.new"
    with _private(beside) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)))
    _put_in_place(beside, folder / MANIFEST)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else writes the backup in the block; the folder is made. Raises Conflict."""
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Conflict(f"another backup is being written to {folder}") from None
    finally:
        os.close(descriptor)


# ── parts ─────────────────────────────────────────────────────────────────────


def write_part(folder: Path, records: list[Record]) -> Part:
    """Keep ``records``, in write order, as a part; it is on the disk when this returns."""
    tally, name = Tally(), f"{records[0].sequence:012}.ndjson.zst"
    beside, line = folder / f"{name}.new", b""
    with _private(beside) as file:
        packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        with packer.stream_writer(file, closefd=False) as packed:
            for record in records:
                tally.add(record)
                line = write_line(record)
                packed.write(line)
    _put_in_place(beside, folder / name)
    first, last = records[0].sequence, records[-1].sequence
    return Part(name, first, last, tally.versions, dict(tally.types), tally.sha256, hash_of(line))


def read_part(folder: Path, part: Part) -> Iterator[Record]:
    """The records of ``part``. Raises InvalidContent, at its end at the latest, when it is not what was written."""
    tally = Tally()
    try:
        with (folder / part.file).open("rb") as file:
            unpacked = zstandard.ZstdDecompressor().stream_reader(file)
            for line in _lines(unpacked):
                record = read_line(line)
                tally.add(record)
                yield record
    except (OSError, zstandard.ZstdError) as error:
        raise InvalidContent(f"{part.file} of the backup cannot be read: {error}") from error
    if (tally.versions, tally.sha256) != (part.versions, part.sha256):
        raise InvalidContent(
            f"{part.file} of the backup is damaged: {tally.versions} versions with the hash {tally.sha256}, "
            f"{part.versions} with {part.sha256} by the manifest"
        )


def _lines(unpacked: zstandard.ZstdDecompressionReader) -> Iterator[bytes]:
    rest = b""
    while block := unpacked.read(2**20):
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
        if len(rest) > LONGEST:
            raise InvalidContent(f"a line of the backup is longer than {LONGEST} bytes")
    if rest:
        yield rest


def hash_of(line: bytes) -> str:
    """The SHA-256 of a line, in hexadecimal."""
    return sha256(line).hexdigest()


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    """A new, empty file that others cannot read; on the disk after the block."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(descriptor)


def _put_in_place(beside: Path, file: Path) -> None:
    beside.replace(file)
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
