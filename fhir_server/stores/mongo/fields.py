"""IndexValues → the index fields of a ``resource`` document.

``arm`` is the key of an arm in eight hexadecimal digits, so that all entries of an arm stand together.

===== ==============================================================================================
``k`` terms, exact texts, one string each:

      - ``Patient``               the type; every resource that is not deleted has it
      - ``{arm}:{code}``          a token whatever its system; a uri
      - ``{arm}={system}\\n{code}``  a token of a system ("" for none)
      - ``{arm}@{id}\\n{type}``      a reference
      - ``{arm}~{gram}``          two neighbouring Chinese characters of a string, or the last one

``x`` strings: ``{arm}{text}\\n{exact}``, ``exact`` as ``forms.exact_form`` writes it ("" for pinyin)
``e`` periods: k = arm (a number here and below), l, h = ``[low, high)``, o = edge (``search.index``), if it is one
``q`` numbers and quantities: k, l, h, o, s = system, c = code of the unit
``c`` combinations: k; of the first part t = text, s = system or type, l, h; of the next t2, s2, l2, h2; …
``g`` positions: k, y = latitude, x = longitude
``a`` the arms that have a value
===== ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from fhir_server.search.index import (
    CompositeRow,
    DateRow,
    IndexValues,
    NumberRow,
    ReferenceRow,
    StringRow,
    TokenRow,
    UriRow,
)
from fhir_server.stores.forms import exact_form, grams, keys_of

Fields = dict[str, Any]

AFTER: Final = "\U0010ffff"
"""Greater than every character of a text: ``stem`` ≤ text < ``stem + AFTER`` is "begins with stem"."""


def index_fields(type: str, values: IndexValues) -> Fields:
    """The index fields of a resource of ``type``; a kind that has no values is left out."""
    fields: Fields = {"k": [type, *dict.fromkeys(_terms(values))], "a": list(keys_of(values))}
    if values.strings:
        fields["x"] = list(dict.fromkeys([string_entry(*row[:3]) for row in values.strings]))
    if values.dates:
        fields["e"] = _edged([({"k": row.key, "l": row.low, "h": row.high}, row) for row in values.dates])
    if values.numbers:
        fields["q"] = _edged([(_number(*row[:5]), row) for row in values.numbers])
    if values.composites:
        fields["c"] = [_composite(row) for row in values.composites]
    if values.positions:
        fields["g"] = [
            {"k": key, "y": latitude, "x": longitude} for key, latitude, longitude in values.positions
        ]
    return fields


# ── entries: what is kept, and what a search asks for ─────────────────────────


def arm(key: int) -> str:
    """The key of an arm as the beginning of a text entry."""
    return f"{key:08x}"


def token_term(key: int, code: str, system: str | None = None) -> str:
    """The term of a token; ``system`` None: whatever its system, "": that has none."""
    return f"{key:08x}:{code}" if system is None else f"{key:08x}={_line(system)}\n{code}"


def system_stem(key: int, system: str) -> str:
    """What the terms of all tokens of ``system`` begin with."""
    return f"{key:08x}={_line(system)}\n"


def reference_term(key: int, id: str, type: str) -> str:
    """The term of a reference."""
    return f"{key:08x}@{_line(id)}\n{type}"


def reference_stem(key: int, id: str) -> str:
    """What the terms of all references to ``id``, whatever its type, begin with."""
    return f"{key:08x}@{_line(id)}\n"


def uri_term(key: int, uri: str) -> str:
    """The term of a uri; ``:below`` is a range of them."""
    return f"{key:08x}:{uri}"


def gram_term(key: int, gram: str) -> str:
    """The term of two neighbouring Chinese characters, or of the last one of a stretch."""
    return f"{key:08x}~{gram}"


def string_entry(key: int, text: str, exact: str) -> str:
    """The entry of a string; ``exact`` "" for pinyin."""
    return f"{key:08x}{_line(text)}\n{exact_form(text, exact)}"


def string_stem(key: int, text: str) -> str:
    """What the entries of all strings begin with that begin with ``text``."""
    return f"{key:08x}{_line(text)}"


def _line(text: str) -> str:
    """``text`` in one line: the end of the line separates it from what follows."""
    return text.replace("\n", " ") if "\n" in text else text


def _terms(values: IndexValues) -> Iterator[str]:
    for key, code, system in values.tokens:
        yield f"{key:08x}:{code}"
        yield token_term(key, code, system)
    for key, id, type in values.references:
        yield reference_term(key, id, type)
    for key, uri in values.uris:
        yield uri_term(key, uri)
    for key, text, exact, _ in values.strings:
        if exact and not text.isascii():
            yield from (gram_term(key, gram) for gram in grams(text))


def _edged(rows: Sequence[tuple[Fields, DateRow | NumberRow]]) -> list[Fields]:
    """The items of ``rows``, each once, with the edges that it has in one row or another."""
    found: dict[tuple[Any, ...], Fields] = {}
    for fields, row in rows:
        item = found.setdefault(row[:-1], fields)
        if row.edge:
            item["o"] = item.get("o", 0) | row.edge
    return list(found.values())


def _number(key: int, low: float, high: float, system: str, code: str) -> Fields:
    return {"k": key, "l": low, "h": high, "s": system, "c": code}


# ── composites ────────────────────────────────────────────────────────────────

_PARTS: Final[Mapping[type, Callable[[Any], Fields]]] = {
    TokenRow: lambda row: {"t": row.code, "s": row.system},
    ReferenceRow: lambda row: {"t": row.id, "s": row.type},
    UriRow: lambda row: {"t": row.uri},
    StringRow: lambda row: {"t": row.text},
    DateRow: lambda row: {"l": row.low, "h": row.high},
    NumberRow: lambda row: {"t": row.code, "s": row.system, "l": row.low, "h": row.high},
}


def _composite(row: CompositeRow) -> Fields:
    first, *others = row.parts
    fields = {"k": row.key, **_PARTS[type(first)](first)}
    for place, part in enumerate(others, 2):
        fields.update({f"{name}{place}": value for name, value in _PARTS[type(part)](part).items()})
    return fields
