"""The folder ``mappings/``: one sub-folder per HIS, found by walking; what they share stands in ``mappings/common``.

A folder with a fault is left out and its faults are kept, so that one hospital's typing error does not silence another.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.errors import NotSupported
from fhir_server.mapping.codes import load_tables
from fhir_server.mapping.load_map import Library, load_map
from fhir_server.mapping.pieces import Piece
from fhir_server.mapping.readers.charset import codec_of
from fhir_server.mapping.schema import load_checked
from fhir_server.mapping.types import CodeTable, His, Map, Mappings

COMMON = "common"
LOOPBACK = ("127.0.0.0/8", "::1/128")


def load_mappings(folder: Path) -> Mappings:
    """Read every HIS folder under ``folder``; a folder at fault is in ``faults`` instead. A missing folder has none."""
    his: dict[str, His] = {}
    maps: dict[str, tuple[Map, ...]] = {}
    faults: dict[str, tuple[str, ...]] = {}
    for inner in his_folders(folder):
        loaded, own_maps, own_faults = load_folder(inner)
        if own_faults or loaded is None:
            faults[inner.name] = tuple(own_faults)
        else:
            his[inner.name], maps[inner.name] = loaded, own_maps
    return Mappings(folder, MappingProxyType(his), MappingProxyType(maps), MappingProxyType(faults))


def his_folders(folder: Path) -> list[Path]:
    """The sub-folders that describe a HIS."""
    if not folder.is_dir():
        return []
    return sorted(inner for inner in folder.iterdir() if inner.is_dir() and (inner / "his.yaml").is_file())


def load_folder(folder: Path) -> tuple[His | None, tuple[Map, ...], list[str]]:
    """One HIS, its maps, and everything that is wrong with the folder."""
    faults: list[str] = []
    his = _load_his(folder, faults)
    library = _load_library(folder, faults)
    if his is None:
        return None, (), faults
    maps = [load_map(file, his, library, faults) for file in sorted(folder.glob("*.map.yaml"))]
    if not maps:
        faults.append(f"{folder.name}: no *.map.yaml")
    made = tuple(item for item in maps if item)
    faults.extend(_clashes(made, folder))
    return his, made, list(dict.fromkeys(faults))


def _load_his(folder: Path, faults: list[str]) -> His | None:
    document = load_checked(folder / "his.yaml", "his", faults)
    if document is None:
        return None
    try:
        return _his(folder, document.data)
    except (ValueError, KeyError, OSError, NotSupported) as error:
        faults.append(f"{document.name}: {error}")
        return None


def _his(folder: Path, data: Mapping[str, Any]) -> His:
    organisation = data["organisation"]
    facts = {**data.get("constants", {}), **organisation, "key": folder.name}
    peers = data.get("mllp", {}).get("peers", LOOPBACK)
    return His(
        key=folder.name,
        name=data["name"],
        organisation=organisation["name"],
        facts=MappingProxyType(facts),
        codec=codec_of(data["charset"]),
        zone=ZoneInfo(data["timezone"]),
        null_words=frozenset(data.get("null_words", ())),
        peers=tuple(ipaddress.ip_network(peer) for peer in peers),
        applications=tuple(data["recognise"].get("applications", ())),
        facilities=tuple(data["recognise"]["facilities"]),
        formats=tuple(data["formats"]),
        folder=folder,
        ignored=frozenset(data.get("ignore_messages", ())),
    )


def _load_library(folder: Path, faults: list[str]) -> Library:
    """Common parts and tables first; those of the folder itself win."""
    rules: dict[str, Piece] = {}
    values: dict[str, Piece] = {}
    tables: dict[str, CodeTable] = {}
    for place in (folder.parent / COMMON, folder):
        for file in sorted(place.glob("*.parts.yaml")):
            document = load_checked(file, "parts", faults)
            if document is not None:
                rules |= {piece.key: piece for piece in Piece.root(document).children("rules")}
                values |= {piece.key: piece for piece in Piece.root(document).children("values")}
        own, wrong = load_tables(place / "codes")
        tables |= own
        faults.extend(wrong)
    return Library(rules, values, tables)


def _clashes(maps: tuple[Map, ...], folder: Path) -> list[str]:
    seen: dict[tuple[str, str], str] = {}
    faults = []
    for item in maps:
        for kind in item.source.messages:
            other = seen.setdefault((item.source.format, kind), item.file.name)
            if other != item.file.name:
                faults.append(f"{folder.name}: {kind} is in {other} and in {item.file.name}")
    return faults
