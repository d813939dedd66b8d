"""The two hospitals' folders, and a folder that a test may spoil."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mapping_cases import ROOT

from fhir_server.mapping import load_mappings, recognise
from fhir_server.mapping.edit import edited
from fhir_server.mapping.types import Mappings, Recognised


@pytest.fixture(scope="session")
def mappings() -> Mappings:
    return load_mappings(ROOT / "mappings")


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    """A copy of mappings/ to change."""
    return Path(shutil.copytree(ROOT / "mappings", tmp_path / "mappings"))


@pytest.fixture
def changed(mappings: Mappings) -> Callable[[dict[str, Any]], Recognised]:
    """The example of a case row, with its changes, recognised."""

    def make(case: dict[str, Any]) -> Recognised:
        file = ROOT / "mappings" / case["his"] / "examples" / case["example"]
        format = {".hl7": "hl7v2", ".csv": "csv"}[file.suffix]
        raw = edited(file.read_bytes(), format, "gb18030", case["change"])
        return recognise(mappings, case["his"], raw)

    return make
