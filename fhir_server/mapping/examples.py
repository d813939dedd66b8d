"""The examples of a HIS folder: messages as they were received (``examples/<name>.in.hl7|csv``) and what they become.

``<name>.out.json`` is the Bundle, or a list of them when the file holds several rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from fhir_server.mapping.recognise import recognise, split
from fhir_server.mapping.translate import translate
from fhir_server.mapping.types import Mappings, Recognised, Translation
from fhir_server.model.exact import ExactNumber, loads_exact

CONTENT_TYPES = {".hl7": "application/hl7-v2", ".csv": "text/csv"}


@dataclass(frozen=True, slots=True)
class Example:
    """One file of ``examples/``."""

    his: str
    file: Path

    @property
    def golden(self) -> Path:
        """Where the expected Bundle stands."""
        return self.file.with_name(f"{self.file.name.partition('.in.')[0]}.out.json")

    def recognised(self, mappings: Mappings) -> list[Recognised]:
        """The messages of the file, each with its map. Raises what ``recognise`` raises."""
        kind = CONTENT_TYPES[self.file.suffix]
        pieces = split(mappings, self.his, self.file.read_bytes(), kind)
        return [recognise(mappings, self.his, piece, kind) for piece in pieces]

    def translations(self, mappings: Mappings) -> list[Translation]:
        """What the messages become. Raises Untranslatable."""
        return [translate(item) for item in self.recognised(mappings)]


def examples(folder: Path) -> list[Example]:
    """The examples of a HIS folder, by name."""
    files = sorted((folder / "examples").glob("*.in.*"))
    return [Example(folder.name, file) for file in files if file.suffix in CONTENT_TYPES]


def golden_text(translations: list[Translation]) -> str:
    """The expected file for these translations: indented JSON, decimals as they were sent."""
    bundles = [loads_exact(translation.bundle) for translation in translations]
    content = bundles[0] if len(bundles) == 1 else bundles
    return orjson.dumps(content, default=_number, option=orjson.OPT_INDENT_2).decode() + "\n"


def differences(wanted: str, got: str) -> Iterator[str]:
    """The elements in which two golden texts differ, each with both values."""
    yield from _differences(loads_exact(wanted), loads_exact(got), "")


def _differences(wanted: Any, got: Any, path: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(got, dict):
        for name in dict.fromkeys([*wanted, *got]):
            yield from _differences(wanted.get(name), got.get(name), f"{path}.{name}")
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        for at, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from _differences(one, other, f"{path}[{at}]")
    elif _text(wanted) != _text(got):
        yield f"{path.lstrip('.')}: expected {_text(wanted)[:200]}, got {_text(got)[:200]}"


def _text(value: Any) -> str:
    return orjson.dumps(value, default=_number).decode()


def _number(value: object) -> orjson.Fragment:
    if isinstance(value, ExactNumber):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
