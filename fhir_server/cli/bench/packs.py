"""Transaction Bundles for the import row: Synthea's when the pack is there, else built-in ones."""

from __future__ import annotations

import tarfile
from pathlib import Path

from fhir_server.cli.bench import sample

PACK = "synthea-medium-150.tar.xz"


def find_packs() -> Path | None:
    """The folder ``../shared/data`` beside the project, when it is there."""
    folder = Path(__file__).resolve().parents[4] / "shared" / "data"
    return folder if (folder / PACK).exists() else None


def import_bundles(packs: Path | None, patients: int) -> tuple[list[bytes], list[bytes]]:
    """Transaction Bundles: those that the others point at, which must be loaded first, and the others."""
    pack = packs / PACK if packs else None
    if pack is None or not pack.exists():
        return [], [sample.bundle(100_000 + first, 10) for first in range(0, patients, 10)]
    with tarfile.open(pack, "r:xz") as archive:
        members = [
            member for member in archive.getmembers() if member.isfile() and member.name.endswith(".json")
        ]
        held = {member.name: file.read() for member in members if (file := archive.extractfile(member))}
    first = [name for name in held if Path(name).name.startswith("00-")]
    return [held.pop(name) for name in sorted(first)], [held[name] for name in sorted(held)]
