"""The folder ``mappings/``: one sub-folder per HIS, found by walking; what they share stands in ``mappings/common``.

A folder with a fault is left out and its faults are kept, so that one hospital's typing error does not silence another.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.errors import NotSupported
from fhir_server.mapping.codes import load_tables
from fhir_server.mapping.compile import Compiler, Piece
from fhir_server.mapping.formats import FORMATS
from fhir_server.mapping.readers.charset import codec_of
from fhir_server.mapping.schema import schema_faults
from fhir_server.mapping.types import Case, CodeTable, Field, His, Map, Mappings, Rule, SourceKind
from fhir_server.mapping.yaml_text import Document, UnreadableFile, load_document

COMMON = "common"
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True)
class Library:
    """What the maps of a folder can use: rules and values of the parts files, and code tables."""

    rules: Mapping[str, Piece]
    values: Mapping[str, Piece]
    tables: Mapping[str, CodeTable]


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
    maps = [_load_map(file, his, library, faults) for file in sorted(folder.glob("*.map.yaml"))]
    if not maps:
        faults.append(f"{folder.name}: no *.map.yaml")
    made = tuple(item for item in maps if item)
    faults.extend(_clashes(made, folder))
    return his, made, faults


def _checked(file: Path, kind: str, faults: list[str]) -> Document | None:
    """The document, None when it is at fault."""
    try:
        document = load_document(file)
    except UnreadableFile as error:
        faults.append(str(error))
        return None
    wrong = schema_faults(document, kind)
    faults.extend(wrong)
    return None if wrong else document


def _load_his(folder: Path, faults: list[str]) -> His | None:
    document = _checked(folder / "his.yaml", "his", faults)
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
        folder=folder,
    )


def _load_library(folder: Path, faults: list[str]) -> Library:
    """Common parts and tables first; those of the folder itself win."""
    rules: dict[str, Piece] = {}
    values: dict[str, Piece] = {}
    tables: dict[str, CodeTable] = {}
    for place in (folder.parent / COMMON, folder):
        for file in sorted(place.glob("*.parts.yaml")):
            document = _checked(file, "parts", faults)
            if document is not None:
                rules |= _named(document, "rules")
                values |= _named(document, "values")
        own, wrong = load_tables(place / "codes")
        tables |= own
        faults.extend(wrong)
    return Library(rules, values, tables)


def _named(document: Document, section: str) -> dict[str, Piece]:
    if section not in document.data:
        return {}
    part = Piece.root(document).child(section)
    return {name: part.child(name) for name in part.data}


def _load_map(file: Path, his: His, library: Library, faults: list[str]) -> Map | None:
    document = _checked(file, "map", faults)
    if document is None:
        return None
    source = document.data["source"]
    missing = [key for key in FORMATS[source["format"]].needs if key not in source]
    if missing:
        faults.append(f"{document.place(('source',))}: source: {source['format']} needs {', '.join(missing)}")
        return None
    made, wrong = _compile(document, his, library)
    faults.extend(wrong)
    return None if wrong else made


def _compile(document: Document, his: His, library: Library) -> tuple[Map, list[str]]:
    data = document.data
    layers, faults = _rule_layers(Piece.root(document), library)
    pieces = {**_used_values(library, layers), **_named(document, "values")}
    parse_path = FORMATS[data["source"]["format"]].parse_path
    compiler = Compiler(his, parse_path, library.tables, pieces, layers)
    values = {name: compiler.value(piece) for name, piece in pieces.items()}
    rules = [compiler.rule(pieces_of, name) for name, pieces_of in layers.items()]
    faults += compiler.faults
    if "sent" not in pieces:
        faults.append(f"{document.name}: values: a value named 'sent' is needed: when the message was sent")
    made = Map(
        name=data["map"],
        version=data["version"],
        title=data["title"],
        file=document.file,
        source=_source(data["source"]),
        values=MappingProxyType({name: value for name, value in values.items() if isinstance(value, Field)}),
        rules=tuple(rule for rule in rules if isinstance(rule, Rule)),
        cases=tuple(_case(case) for case in _children(Piece.root(document), "tests")),
    )
    return made, faults


def _rule_layers(root: Piece, library: Library) -> tuple[dict[str, list[Piece]], list[str]]:
    """Rule name -> the pieces that make it: the part it uses, then what the map says."""
    layers: dict[str, list[Piece]] = {}
    faults = []
    for piece in _children(root, "rules"):
        used = piece.data.get("use")
        name = piece.data.get("name", used)
        if name is None or name in layers:
            reason = "a rule needs a name (or use)" if name is None else f"the rule {name!r} is there twice"
            faults.append(f"{piece.place.file}: {piece.path}: {reason}")
        elif used is not None and used not in library.rules:
            known = ", ".join(sorted(library.rules))
            faults.append(f"{piece.place.file}: {piece.path}: no part is named {used!r}; parts: {known}")
        else:
            base = [library.rules[used]] if used is not None else []
            layers[name] = [layer.renamed(f"rules/{name}") for layer in (*base, piece)]
    return layers, faults


def _used_values(library: Library, layers: Mapping[str, list[Piece]]) -> dict[str, Piece]:
    """Values of the parts files from which at least one rule is used."""
    files = {piece.document.file for pieces in layers.values() for piece in pieces}
    return {name: piece for name, piece in library.values.items() if piece.document.file in files}


def _children(piece: Piece, key: str) -> list[Piece]:
    if key not in piece.data:
        return []
    inner = piece.child(key)
    return [inner.child(at) for at in range(len(inner.data))]


def _source(data: Mapping[str, Any]) -> SourceKind:
    return SourceKind(
        format=data["format"],
        messages=tuple(data.get("messages", ())),
        columns=tuple(data.get("columns", ())),
        required_columns=tuple(data.get("required_columns", data.get("columns", ()))),
        key=tuple(data.get("key", ())),
        groups={name: tuple(before) for name, before in data.get("groups", {}).items()},
        ignore=tuple(data.get("ignore", ())),
    )


def _case(piece: Piece) -> Case:
    data = piece.data
    return Case(
        piece.place,
        data["name"],
        data["example"],
        data.get("change", {}),
        data.get("expect", {}),
        data.get("expect_issue"),
    )


def _clashes(maps: tuple[Map, ...], folder: Path) -> list[str]:
    seen: dict[tuple[str, str], str] = {}
    faults = []
    for item in maps:
        for kind in item.source.messages:
            other = seen.setdefault((item.source.format, kind), item.file.name)
            if other != item.file.name:
                faults.append(f"{folder.name}: {kind} is in {other} and in {item.file.name}")
    return faults
