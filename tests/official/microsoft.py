"""The fixtures of Microsoft's FHIR server in the pack of public cases, and the list of what differs on purpose."""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path

import pytest

FOLDER = "test-cases/microsoft-fhir-server/src/Microsoft.Health.Fhir.Tests.Common/TestFiles/"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@cache
def fixtures(shared: Path) -> dict[str, bytes]:
    """The JSON fixtures for R4 by file name; skips the test when the pack is not there."""
    pack = shared / "data/fhir-test-cases.tar.xz"
    if not pack.is_file():
        pytest.skip(f"{pack.name} is not there")
    with tarfile.open(pack, "r:xz") as archive:
        held = {
            Path(item.name).name: archive.extractfile(item).read().removeprefix(BYTE_ORDER_MARK)  # type: ignore[union-attr]
            for item in archive
            if item.isfile() and item.name.startswith((f"{FOLDER}R4/", f"{FOLDER}Normative/"))
        }
    return {name: raw for name, raw in held.items() if name.endswith(".json")}


@cache
def known_differences() -> dict[str, tuple[str, str]]:
    """Fixture → what this server does instead, and why."""
    lines = Path(__file__).with_name("known_differences_microsoft.txt").read_text("utf-8").splitlines()
    rows = [[part.strip() for part in line.split("|")] for line in lines if line and not line.startswith("#")]
    return {name: (done, why) for name, done, why in rows}
