"""Resources from files: JSON, NDJSON, either of them gzipped, and folders of them."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

SUFFIXES = (".json", ".ndjson", ".json.gz", ".ndjson.gz")

# NDJSON exports hold one type a file and point at each other by conditional references, which
# can only be resolved once their targets are here: what others point at comes first.
FIRST = ("Organization", "Location", "Practitioner", "PractitionerRole", "Medication", "Patient", "Encounter")


@dataclass(frozen=True, slots=True)
class Item:
    """One resource on its way in: ``name`` says where it came from (file, and line in NDJSON)."""

    name: str
    raw: bytes

    def head(self) -> Head:
        """Its type, id and Bundle type, all None when it is not a JSON object."""
        try:
            return _head.decode(self.raw)
        except msgspec.DecodeError:
            return Head()


class Head(msgspec.Struct, rename="camel"):
    """The members of a resource that say how it is to be loaded."""

    resource_type: str | None = None
    id: str | None = None
    type: object = None

    @property
    def runs(self) -> bool:
        """True for a Bundle that is to be carried out; one that has an id is a resource to be kept."""
        return self.resource_type == "Bundle" and self.type in {"transaction", "batch"} and self.id is None


_head = msgspec.json.Decoder(Head)


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The files meant by ``paths``, folders walked in order. Raises FileNotFoundError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(
                (file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file()),
                key=_rank,
            )
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"no such file or folder: {path}")
    return found


def _rank(file: Path) -> tuple[int, str]:
    kind = file.name.split(".")[0]
    known = FIRST.index(kind) if ".ndjson" in file.name and kind in FIRST else len(FIRST)
    return known, str(file)


def read_items(paths: Iterable[Path]) -> Iterator[Item]:
    """Every resource of the files, one at a time, never more than one file's bytes in memory (NDJSON: one line's)."""
    for file in find_files(paths):
        yield from read_file(file)


def read_file(file: Path) -> Iterator[Item]:
    """Every resource of one file."""
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
        if ".ndjson" not in file.name:
            yield Item(str(file), stream.read().removeprefix(b"\xef\xbb\xbf"))
            return
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield Item(f"{file}:{number}", line)
