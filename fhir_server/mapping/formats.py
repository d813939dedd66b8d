"""The formats that can be read, as one table: how a place is written, and how a map finds its messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from fhir_server.mapping.readers import csv, hl7v2, places


@dataclass(frozen=True, slots=True)
class Format:
    """One format: ``parse_path`` compiles a place (raises ValueError), ``needs`` are the keys ``source`` must have."""

    parse_path: Callable[[str], Any]
    needs: tuple[str, ...]
    media_type: str


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        hl7v2.FORMAT: Format(places.parse_path, ("messages",), hl7v2.MEDIA_TYPES[0]),
        csv.FORMAT: Format(csv.parse_path, ("columns", "key"), csv.MEDIA_TYPES[0]),
    }
)
