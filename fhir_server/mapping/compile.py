"""From a map file to a ``Map``: every name looked up, every path and format parsed, every fault collected.

A rule that says ``use`` starts from the rule of that name in the parts files; what it sets itself comes on top.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.mapping import finishes
from fhir_server.mapping.checks import CHECKS
from fhir_server.mapping.dates import parse_format
from fhir_server.mapping.functions import FUNCTIONS
from fhir_server.mapping.origins import (
    Concat,
    Const,
    Fact,
    Find,
    From,
    Hole,
    Named,
    Ref,
    Refs,
    Text,
    split_template,
)
from fhir_server.mapping.target import parse_target
from fhir_server.mapping.types import Block, CodeTable, Condition, Field, His, Place, Rule, Step, Upsert
from fhir_server.mapping.yaml_text import Document, Steps

ORIGINS = ("from", "const", "text", "value", "concat", "ref", "refs", "find")


class CompileFault(Exception):
    """One piece of a map makes no sense; the text names the place."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(f"{place.file}: {place.path}: {text}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document, with the path that people know it by (rules by name, not by number)."""

    document: Document
    steps: Steps
    data: Any
    path: str

    @classmethod
    def root(cls, document: Document) -> Piece:
        """The whole document."""
        return cls(document, (), document.data, "")

    def child(self, key: str | int, name: str | None = None) -> Piece:
        """The part under ``key``."""
        path = f"{self.path}/{name or key}".strip("/")
        return Piece(self.document, (*self.steps, key), self.data[key], path)

    def renamed(self, path: str) -> Piece:
        """The same part under another path."""
        return replace(self, path=path)

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.document.place(self.steps), self.path)


def texts(data: Any) -> tuple[str, ...]:
    """One text or a list of texts, as a tuple."""
    return (data,) if isinstance(data, str) else tuple(data or ())


class Compiler:
    """Compiles the pieces of one map for one HIS. ``faults`` collects what was wrong."""

    def __init__(
        self,
        his: His,
        parse_path: Callable[[str], Any],
        tables: Mapping[str, CodeTable],
        names: Iterable[str],
        rules: Iterable[str],
    ) -> None:
        self.his = his
        self.parse_path = parse_path
        self.tables = tables
        self.names = frozenset(names)
        self.rules = frozenset(rules)
        self.faults: list[str] = []

    def rule(self, layers: Sequence[Piece], name: str) -> Rule | None:
        """The rule made of ``layers``: a part first, then what the map says on top. None when it is at fault."""
        top = layers[-1]
        said: dict[str, Piece] = {}
        for layer in layers:
            said |= {key: layer.child(key) for key in layer.data}
        try:
            if "resource" not in said or "set" not in said:
                raise CompileFault(
                    top.place, "a rule needs resource and set, its own or those of a part it uses"
                )
            return Rule(
                top.place,
                name,
                said["resource"].data,
                self._merged_parts(layers),
                tuple(self._hole(text, said["id_from"]) for text in said["id_from"].data)
                if "id_from" in said
                else (),
                self._upsert(said["upsert"]) if "upsert" in said else None,
                self._condition(said["when"]) if "when" in said else None,
                texts(said["for_each"].data) if "for_each" in said else (),
            )
        except CompileFault as fault:
            self.faults.append(str(fault))
            return None

    def value(self, piece: Piece) -> Field | None:
        """A named value of the map."""
        try:
            return self._field(piece, ())
        except CompileFault as fault:
            self.faults.append(str(fault))
            return None

    def _merged_parts(self, layers: Sequence[Piece]) -> tuple[Field | Block, ...]:
        merged: dict[str, Piece] = {}
        for layer in layers:
            if "set" in layer.data:
                own = layer.child("set")
                merged |= {key: own.child(key) for key in own.data}
        return self._parts(merged.values())

    def _parts(self, pieces: Iterable[Piece]) -> tuple[Field | Block, ...]:
        parts = []
        for piece in pieces:
            try:
                parts.append(self._part(piece))
            except CompileFault as fault:
                self.faults.append(str(fault))
        return tuple(parts)

    def _part(self, piece: Piece) -> Field | Block:
        try:
            target = parse_target(str(piece.steps[-1]))
        except ValueError as error:
            raise CompileFault(piece.place, str(error)) from error
        if isinstance(piece.data, dict) and "set" in piece.data:
            return self._block(piece, target)
        return self._field(piece, target)

    def _block(self, piece: Piece, target: Any) -> Block:
        strange = piece.data.keys() - {"set", "when", "for_each", "required", "note"}
        if strange:
            raise CompileFault(piece.place, f"a part with set cannot also have {', '.join(sorted(strange))}")
        inner = piece.child("set")
        condition = self._condition(piece.child("when")) if "when" in piece.data else None
        parts = self._parts(inner.child(key) for key in inner.data)
        for_each = texts(piece.data.get("for_each"))
        return Block(piece.place, target, parts, condition, for_each, piece.data.get("required") == "true")

    def _field(self, piece: Piece, target: Any) -> Field:
        data = {"from": piece.data} if isinstance(piece.data, str) else piece.data
        origin, reading = self._origin(data, piece)
        steps = self._steps(data, piece)
        finish, undo = self._finish(data, piece)
        direct = isinstance(origin, Const | Ref | Refs | Find)
        if direct and (steps or "lookup" in data or "date" in data):
            raise CompileFault(
                piece.place, "const, ref, refs and find are taken as they are; remove the other treatments"
            )
        reverse = data.get("reverse") == "true"
        if reverse and (steps or undo is None or not isinstance(origin, From | Named)):
            raise CompileFault(
                piece.place, "reverse: true needs from or value without split, replace and apply"
            )
        return Field(
            piece.place,
            target,
            origin,
            steps,
            None if direct and "as" not in data else finish,
            self._condition(piece.child("when")) if "when" in data else None,
            data.get("default"),
            data.get("required") == "true",
            reading,
            undo if reverse else None,
        )

    def _origin(self, data: Mapping[str, Any], piece: Piece) -> tuple[Any, bool]:
        given = [key for key in ORIGINS if key in data]
        if len(given) != 1:
            said = f"it says {', '.join(given)}" if given else "it says none"
            raise CompileFault(piece.place, f"exactly one of {', '.join(ORIGINS)} is needed; {said}")
        kind = given[0]
        content = data[kind]
        match kind:
            case "const":
                return Const(content), False
            case "from":
                null_words = frozenset(data["null"]) if "null" in data else self.his.null_words
                return From(self._path(content, piece), null_words), True
            case "value":
                return self._named(content, piece), True
            case "concat":
                return Concat(
                    tuple(self._hole(text, piece) for text in content), data.get("separator", "")
                ), True
            case "ref" | "refs":
                if content not in self.rules:
                    raise CompileFault(
                        piece.place, f"no rule is named {content!r}; rules: {', '.join(sorted(self.rules))}"
                    )
                return (Ref if kind == "ref" else Refs)(content), True
            case _:
                text = self._template(content, piece, escaped=kind == "find")
                reading = any(not isinstance(hole, Fact) for hole in text.holes)
                return (Find(text) if kind == "find" else text), reading

    def _template(self, text: str, piece: Piece, escaped: bool) -> Text:
        literals, holes = split_template(text)
        return Text(literals, tuple(self._hole(hole, piece) for hole in holes), escaped)

    def _hole(self, text: str, piece: Piece) -> Hole:
        """``his.uscc``, the name of a value, or a place in the message."""
        if text.startswith("his."):
            if text[4:] not in self.his.facts:
                raise CompileFault(
                    piece.place, f"{text!r} is not known; his.yaml gives {', '.join(sorted(self.his.facts))}"
                )
            return Fact(text[4:])
        if text in self.names:
            return Named(text)
        return From(self._path(text, piece), self.his.null_words)

    def _named(self, name: str, piece: Piece) -> Named:
        if name not in self.names:
            raise CompileFault(
                piece.place, f"no value is named {name!r}; values: {', '.join(sorted(self.names))}"
            )
        return Named(name)

    def _path(self, text: str, piece: Piece) -> Any:
        try:
            return self.parse_path(text)
        except ValueError as error:
            raise CompileFault(piece.place, str(error)) from error

    def _upsert(self, piece: Piece) -> Upsert:
        by = tuple(self._template(text, piece, escaped=True) for text in texts(piece.data["by"]))
        return Upsert(piece.data["mode"], by)

    def _condition(self, piece: Piece) -> Condition:
        return Condition(piece.place, self._test(piece))

    def _test(self, piece: Piece) -> Callable[[Callable[[Any], str | None]], bool]:
        data = piece.data
        if isinstance(data, str):
            origin = self._hole(data, piece)
            return lambda read: read(origin) is not None
        joined = [key for key in ("all", "any") if key in data]
        if joined:
            several = piece.child(joined[0])
            tests = [self._test(several.child(at)) for at in range(len(several.data))]
            combine = all if joined[0] == "all" else any
            return lambda read: combine(test(read) for test in tests)
        if "not" in data:
            inner = self._test(piece.child("not"))
            return lambda read: not inner(read)
        return self._simple_test(data, piece)

    def _simple_test(
        self, data: Mapping[str, Any], piece: Piece
    ) -> Callable[[Callable[[Any], str | None]], bool]:
        if ("from" in data) == ("value" in data):
            raise CompileFault(piece.place, "a condition needs from, value, all, any or not")
        if "from" in data:
            origin: Hole = From(self._path(data["from"], piece), self.his.null_words)
        else:
            origin = self._named(data["value"], piece)
        if "is" in data:
            wanted = frozenset(texts(data["is"]))
            return lambda read: read(origin) in wanted
        present = data.get("present", "true") == "true"
        return lambda read: (read(origin) is not None) == present

    def _steps(self, data: Mapping[str, Any], piece: Piece) -> tuple[Step, ...]:
        steps = []
        if "split" in data:
            steps.append(_split_step(data["split"]["on"], int(data["split"]["part"])))
        if "replace" in data:
            steps.append(self._replace_step(data["replace"], piece))
        for name in texts(data.get("apply")):
            if name not in FUNCTIONS:
                raise CompileFault(
                    piece.place, f"no function is named {name!r}; functions: {', '.join(FUNCTIONS)}"
                )
            steps.append(Step(name, FUNCTIONS[name]))
        return tuple(steps)

    def _replace_step(self, data: Mapping[str, str], piece: Piece) -> Step:
        try:
            pattern = re.compile(data["pattern"])
        except re.error as error:
            raise CompileFault(
                piece.place, f"replace: {data['pattern']!r} is not a regular expression: {error}"
            ) from error
        return Step("replace", lambda text: pattern.sub(data["with"], text) or None)

    def _finish(self, data: Mapping[str, Any], piece: Piece) -> finishes.Pair:
        kind = data.get("as", "string")
        if "check" in data:
            return self._checked(data, piece)
        if "lookup" in data:
            table = self.tables.get(data["lookup"])
            if table is None:
                known = ", ".join(sorted(self.tables))
                raise CompileFault(piece.place, f"no code table is named {data['lookup']!r}; tables: {known}")
            return finishes.as_code(table, data.get("give", "code"), data.get("on_unmapped", "error"))
        if "date" in data:
            try:
                formats = tuple(parse_format(text) for text in texts(data["date"]))
            except ValueError as error:
                raise CompileFault(piece.place, str(error)) from error
            return finishes.as_date(
                formats, kind if kind in {"date", "instant"} else "dateTime", self.his.zone
            )
        if kind in {"date", "dateTime", "instant"}:
            raise CompileFault(piece.place, f"as: {kind} needs date: with the formats it is written in")
        makers = {
            "decimal": finishes.as_decimal,
            "integer": finishes.as_integer,
            "boolean": finishes.as_boolean,
        }
        return makers.get(kind, finishes.as_string)()

    def _checked(self, data: Mapping[str, Any], piece: Piece) -> finishes.Pair:
        name = data["check"]
        if name not in CHECKS:
            raise CompileFault(piece.place, f"no check is named {name!r}; checks: {', '.join(CHECKS)}")
        return finishes.as_checked(name, CHECKS[name], data.get("on_invalid", "error"))


def _split_step(on: str, part: int) -> Step:
    def split(text: str) -> str | None:
        pieces = text.split(on)
        return pieces[part - 1].strip() or None if part <= len(pieces) else None

    return Step(f"split {on!r} {part}", split)
