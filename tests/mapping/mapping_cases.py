"""Where the mappings and the rows for their tests are."""

from pathlib import Path
from typing import Any

from fhir_server.mapping.yaml_text import load_document

ROOT = Path(__file__).parents[2]
MAPPINGS = ROOT / "mappings"
CASES = ROOT / "tests" / "cases" / "mapping"


def cases(name: str) -> list[dict[str, Any]]:
    """The rows of a case file; every scalar is text."""
    rows: list[dict[str, Any]] = load_document(CASES / f"{name}.yaml").data
    return rows


def example(his: str, name: str) -> bytes:
    """An example message as it was received."""
    return (MAPPINGS / his / "examples" / name).read_bytes()
