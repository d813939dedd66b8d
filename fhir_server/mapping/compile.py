"""From the pieces of a map to its rules and values: every name looked up, every path parsed, every fault collected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_server.mapping.conditions import compile_condition
from fhir_server.mapping.names import Names
from fhir_server.mapping.origins import Const, Find, From, Named, Ref, Refs, Text
from fhir_server.mapping.pieces import CompileFault, Piece, texts
from fhir_server.mapping.target import Target, parse_target
from fhir_server.mapping.treatments import TREATMENTS, compile_finish, compile_steps
from fhir_server.mapping.types import Block, Condition, Field, Part, Rule, Upsert

_DIRECT = (Const, Ref, Refs, Find)
_BLOCK_KEYS = {"set", "when", "for_each", "required", "note"}


class Compiler:
    """Compiles pieces against ``names``; what was wrong is collected in ``faults``."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.faults: list[str] = []

    def rule(self, layers: Sequence[Piece], name: str) -> Rule | None:
        """The rule made of ``layers``: a part first, then what the map says on top. None when it is at fault."""
        said = {key: layer.child(key) for layer in layers for key in layer.data}
        try:
            return self._rule(layers, said, name)
        except CompileFault as fault:
            self.faults.append(str(fault))
            return None

    def value(self, piece: Piece) -> Field | None:
        """A named value of the map. None when it is at fault."""
        try:
            return self._field(piece, ())
        except CompileFault as fault:
            self.faults.append(str(fault))
            return None

    def _rule(self, layers: Sequence[Piece], said: dict[str, Piece], name: str) -> Rule:
        if "resource" not in said or "set" not in said:
            raise layers[-1].fault("a rule needs resource and set, its own or those of the part it uses")
        ids = said.get("id_from")
        return Rule(
            layers[-1].place,
            name,
            said["resource"].data,
            self._merged(layers),
            tuple(self.names.hole(text, ids) for text in ids.data) if ids else (),
            self._upsert(said.get("upsert")),
            self._condition(said.get("when")),
            texts(said["for_each"].data) if "for_each" in said else (),
        )

    def _merged(self, layers: Sequence[Piece]) -> tuple[Part, ...]:
        """The elements of all layers; what a later layer says about an element replaces what an earlier one said."""
        return self._parts({piece.key: piece for layer in layers for piece in layer.children("set")}.values())

    def _parts(self, pieces: Iterable[Piece]) -> tuple[Part, ...]:
        parts = []
        for piece in pieces:
            try:
                parts.append(self._part(piece))
            except CompileFault as fault:
                self.faults.append(str(fault))
        return tuple(parts)

    def _part(self, piece: Piece) -> Part:
        try:
            target = parse_target(piece.key)
        except ValueError as error:
            raise piece.fault(str(error)) from error
        is_block = isinstance(piece.data, dict) and "set" in piece.data
        return self._block(piece, target) if is_block else self._field(piece, target)

    def _block(self, piece: Piece, target: Target) -> Block:
        strange = piece.data.keys() - _BLOCK_KEYS
        if strange:
            raise piece.fault(f"a part with set cannot also have {', '.join(sorted(strange))}")
        return Block(
            piece.place,
            target,
            self._parts(piece.children("set")),
            self._condition(piece.child("when") if "when" in piece.data else None),
            texts(piece.data.get("for_each")),
            piece.data.get("required") == "true",
        )

    def _field(self, piece: Piece, target: Target) -> Field:
        data = {"from": piece.data} if isinstance(piece.data, str) else piece.data
        origin = self.names.origin(data, piece)
        direct = isinstance(origin, _DIRECT)
        if direct and TREATMENTS & data.keys():
            raise piece.fault(
                f"const, ref, refs and find are taken as they are, without {', '.join(TREATMENTS & data.keys())}"
            )
        steps = compile_steps(data, piece)
        finish, undo = compile_finish(self.names, data, piece)
        reverse = data.get("reverse") == "true"
        if reverse and (steps or undo is None or not isinstance(origin, From | Named)):
            raise piece.fault("reverse: true needs from or value, without split, replace and apply")
        return Field(
            piece.place,
            target,
            origin,
            steps,
            finish=None if direct and "as" not in data else finish,
            when=self._condition(piece.child("when") if "when" in data else None),
            default=data.get("default"),
            required=data.get("required") == "true",
            reading=_is_reading(origin),
            undo=undo,
            reverse=reverse,
        )

    def _upsert(self, piece: Piece | None) -> Upsert | None:
        if piece is None:
            return None
        by = tuple(self.names.template(text, piece, escaped=True) for text in texts(piece.data["by"]))
        return Upsert(piece.data["mode"], by)

    def _condition(self, piece: Piece | None) -> Condition | None:
        return None if piece is None else compile_condition(self.names, piece)


def _is_reading(origin: Any) -> bool:
    """True when the value depends on the message."""
    template = origin.text if isinstance(origin, Find) else origin
    return bool(template.holes) if isinstance(template, Text) else not isinstance(origin, Const)
