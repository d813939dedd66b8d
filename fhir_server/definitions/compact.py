"""Reading the compact files: decompressed at once, decoded piece by piece when a piece is asked for.

A file's JSON stays in memory as bytes; a type costs its objects only after it has been used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import zstandard

from fhir_server.definitions.types import OperationDefinition, SearchParameterDefinition, TypeDefinition

FOLDER = Path(__file__).parent / "r4"
Value = TypeVar("Value")
Json = dict[str, Any]


class CoreFile(msgspec.Struct, rename="camel"):
    """``core.json.zst``: what every request may need."""

    version: str
    resource_types: tuple[str, ...]
    types: dict[str, msgspec.Raw]
    search_parameters: msgspec.Raw
    compartments: dict[str, dict[str, tuple[str, ...]]]
    operations: msgspec.Raw
    required_codes: dict[str, tuple[str, ...] | None]


class TerminologyFile(msgspec.Struct, rename="camel"):
    """``terminology.json.zst``: CodeSystems and ValueSets by URL, as FHIR JSON."""

    code_systems: dict[str, msgspec.Raw]
    value_sets: dict[str, msgspec.Raw]


class Lazy(Mapping[str, Value], Generic[Value]):
    """A mapping whose values are made from their JSON bytes at the first access and kept."""

    __slots__ = ("_decode", "_made", "_raw")

    def __init__(self, raw: Mapping[str, msgspec.Raw], decode: Callable[[msgspec.Raw], Value]) -> None:
        self._raw = raw
        self._decode = decode
        self._made: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._decode(self._raw[name])
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


def _unpacked(name: str) -> bytes:
    return zstandard.ZstdDecompressor().decompress((FOLDER / name).read_bytes())


def read_core() -> CoreFile:
    """The core definitions."""
    return msgspec.json.decode(_unpacked("core.json.zst"), type=CoreFile)


def read_terminology() -> TerminologyFile:
    """R4's own terminology."""
    return msgspec.json.decode(_unpacked("terminology.json.zst"), type=TerminologyFile)


decode_type = msgspec.json.Decoder(TypeDefinition).decode
decode_search_parameters = msgspec.json.Decoder(tuple[SearchParameterDefinition, ...]).decode
decode_operations = msgspec.json.Decoder(tuple[OperationDefinition, ...]).decode
decode_json = msgspec.json.Decoder(Json).decode
