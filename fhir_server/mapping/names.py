"""What a map can name: places of its format, values, rules, facts of the HIS; and the origins made of such names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.origins import Concat, Const, Fact, Find, From, Hole, Named, Ref, Refs, Text
from fhir_server.mapping.pieces import Piece
from fhir_server.mapping.types import CodeTable, His

KINDS = ("from", "const", "text", "value", "concat", "ref", "refs", "find")
_HOLE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Names:
    """All that the map of one HIS may refer to."""

    his: His
    parse_path: Callable[[str], Any]
    tables: Mapping[str, CodeTable]
    values: frozenset[str]
    rules: frozenset[str]

    def origin(self, data: Mapping[str, Any], piece: Piece) -> Any:
        """Where the field of ``piece`` comes from. Raises CompileFault."""
        given = [kind for kind in KINDS if kind in data]
        if len(given) != 1:
            said = f"it says {', '.join(given)}" if given else "it says none"
            raise piece.fault(f"exactly one of {', '.join(KINDS)} is needed; {said}")
        content = data[given[0]]
        null_words = frozenset(data["null"]) if "null" in data else self.his.null_words
        makers: Mapping[str, Callable[[], Any]] = {
            "from": lambda: From(self.path(content, piece), null_words),
            "const": lambda: Const(self.filled(content, piece)),
            "text": lambda: self.template(content, piece),
            "find": lambda: Find(self.template(content, piece, escaped=True)),
            "value": lambda: self.named(content, piece),
            "concat": lambda: Concat(
                tuple(self.hole(text, piece) for text in content), data.get("separator", "")
            ),
            "ref": lambda: Ref(self.rule(content, piece)),
            "refs": lambda: Refs(self.rule(content, piece)),
        }
        return makers[given[0]]()

    def hole(self, text: str, piece: Piece) -> Hole:
        """``his.uscc``, the name of a value, or a place in the message. Raises CompileFault."""
        if text.startswith("his."):
            return Fact(self.fact(text, piece))
        if text in self.values:
            return Named(text)
        return From(self.path(text, piece), self.his.null_words)

    def template(self, text: str, piece: Piece, *, escaped: bool = False) -> Text:
        """``a{b}c``; facts of the HIS become part of the text. Raises CompileFault."""
        pieces = _HOLE.split(self.filled(text, piece))
        return Text(tuple(pieces[::2]), tuple(self.hole(hole, piece) for hole in pieces[1::2]), escaped)

    def filled(self, data: Any, piece: Piece) -> Any:
        """``data`` with ``{his.…}`` in its texts replaced. Raises CompileFault."""
        if isinstance(data, dict):
            return {name: self.filled(item, piece) for name, item in data.items()}
        if isinstance(data, list):
            return [self.filled(item, piece) for item in data]
        return re.sub(r"\{(his\.[^{}]*)\}", lambda match: self.his.facts[self.fact(match[1], piece)], data)

    def path(self, text: str, piece: Piece) -> Any:
        """A place of the map's format. Raises CompileFault."""
        try:
            return self.parse_path(text)
        except ValueError as error:
            raise piece.fault(str(error)) from error

    def fact(self, text: str, piece: Piece) -> str:
        """The name after ``his.``. Raises CompileFault."""
        name = text.removeprefix("his.")
        if name not in self.his.facts:
            known = ", ".join(f"his.{fact}" for fact in sorted(self.his.facts))
            raise piece.fault(f"{text!r} is not known; his.yaml gives {known}")
        return name

    def named(self, name: str, piece: Piece) -> Named:
        """A value of the map. Raises CompileFault."""
        return Named(_known(name, self.values, "value", piece))

    def rule(self, name: str, piece: Piece) -> str:
        """A rule of the map. Raises CompileFault."""
        return _known(name, self.rules, "rule", piece)

    def table(self, name: str, piece: Piece) -> CodeTable:
        """A code table of the folder or the common one. Raises CompileFault."""
        return self.tables[_known(name, self.tables.keys(), "code table", piece)]


def _known(name: str, known: Any, kind: str, piece: Piece) -> str:
    if name not in known:
        raise piece.fault(f"no {kind} is named {name!r}; there are {', '.join(sorted(known)) or 'none'}")
    return name
