"""``when``: a claim about the message, written as data.

A text means that the place or value is there; ``{from|value: …, is: …}`` that it says one of the words;
``all``, ``any`` and ``not`` join claims.
"""

from __future__ import annotations

from typing import Any

from fhir_server.mapping.names import Names
from fhir_server.mapping.origins import Hole
from fhir_server.mapping.pieces import Piece, texts
from fhir_server.mapping.types import Condition

FORMS = ("from", "value", "all", "any", "not")


def compile_condition(names: Names, piece: Piece) -> Condition:
    """The claim of ``piece``. Raises CompileFault."""
    data = piece.data
    if isinstance(data, str):
        origin = names.hole(data, piece)
        return lambda read: read(origin) is not None
    given = [form for form in FORMS if form in data]
    if len(given) != 1:
        raise piece.fault(f"a condition is a place or has exactly one of {', '.join(FORMS)}")
    if given[0] in {"all", "any"}:
        return _joined(names, piece, given[0])
    if given[0] == "not":
        inner = compile_condition(names, piece.child("not"))
        return lambda read: not inner(read)
    return _simple(_origin(names, piece, given[0]), data)


def _joined(names: Names, piece: Piece, form: str) -> Condition:
    tests = [compile_condition(names, inner) for inner in piece.children(form)]
    join = all if form == "all" else any
    return lambda read: join(test(read) for test in tests)


def _origin(names: Names, piece: Piece, form: str) -> Hole:
    text = piece.data[form]
    return names.named(text, piece) if form == "value" else names.hole(text, piece)


def _simple(origin: Hole, data: Any) -> Condition:
    if "is" in data:
        wanted = frozenset(texts(data["is"]))
        return lambda read: read(origin) in wanted
    present = data.get("present", "true") == "true"
    return lambda read: (read(origin) is not None) == present
