"""One ``*.map.yaml`` to a ``Map``: its rules on top of the parts they use, its values, its tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fhir_server.mapping.compile import Compiler
from fhir_server.mapping.formats import FORMATS
from fhir_server.mapping.names import Names
from fhir_server.mapping.pieces import Piece
from fhir_server.mapping.schema import load_checked
from fhir_server.mapping.types import Case, CodeTable, Field, His, Map, Rule, SourceKind
from fhir_server.mapping.yaml_text import Document


@dataclass(frozen=True, slots=True)
class Library:
    """What the maps of a folder can use: rules and values of the parts files, and code tables."""

    rules: Mapping[str, Piece]
    values: Mapping[str, Piece]
    tables: Mapping[str, CodeTable]


def load_map(file: Path, his: His, library: Library, faults: list[str]) -> Map | None:
    """The map in ``file``; None when it is at fault, which is added to ``faults``."""
    document = load_checked(file, "map", faults)
    if document is None:
        return None
    source = document.data["source"]
    if source["format"] not in his.formats:
        faults.append(
            f"{document.place(('source', 'format'))}: source: his.yaml does not list {source['format']}"
        )
        return None
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
    own = {piece.key: piece for piece in Piece.root(document).children("values")}
    pieces = _used_values(library, layers) | own
    parse_path = FORMATS[data["source"]["format"]].parse_path
    compiler = Compiler(Names(his, parse_path, library.tables, frozenset(pieces), frozenset(layers)))
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
        cases=tuple(_case(case) for case in Piece.root(document).children("tests")),
    )
    return made, faults


def _rule_layers(root: Piece, library: Library) -> tuple[dict[str, list[Piece]], list[str]]:
    """Rule name -> the pieces that make it: the part it uses, then what the map says."""
    layers: dict[str, list[Piece]] = {}
    faults = []
    for piece in root.children("rules"):
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
