"""IndexValues → rows of the index tables, and the statements that keep and remove them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Final, NamedTuple

from fhir_server.search.index import (
    DateRow,
    IndexValues,
    NumberRow,
    ReferenceRow,
    StringRow,
    TokenRow,
    UriRow,
)
from fhir_server.stores.forms import exact_form, grams

Row = tuple[Any, ...]
Lookup = Mapping[str, int]

DAY: Final = 86_400_000_000
WIDTHS: Final = (DAY, 366 * DAY)
"""``period.span`` is 0 up to a day, 1 up to a year, else 2: what ends after X is near X in the narrow classes."""


class Rows(NamedTuple):
    """The index rows of one resource, per table."""

    term: set[Row]
    link: set[Row]
    string: set[Row]
    period: set[Row]
    number: set[Row]
    composite: set[Row]
    position: set[Row]

    def without(self, other: Rows) -> Rows:
        """The rows that ``other`` has not."""
        return Rows(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))

    def of_arms(self, keys: Set[int]) -> Rows:
        """The rows of the arms ``keys``, and all links."""
        kept = [{row for row in rows if row[0] in keys} for rows in self]
        return Rows(*kept)._replace(link=self.link)


def no_rows() -> Rows:
    """Of a resource that does not exist or is deleted."""
    return Rows(set(), set(), set(), set(), set(), set(), set())


class Table(NamedTuple):
    """How the rows of one index table are written. The first ``identity`` columns are its primary key."""

    name: str
    insert: str
    delete: str
    identity: int


def _table(name: str, columns: str, identity: int) -> Table:
    names = columns.split()
    key = " AND ".join(f"{column} = ?" for column in names[:identity])
    return Table(
        name,
        f"INSERT OR IGNORE INTO {name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",  # noqa: S608
        f"DELETE FROM {name} WHERE {key}",  # noqa: S608
        identity,
    )


TABLES: Final = (
    _table("term", "key text date rid extra", 5),
    _table("link", "rid key extra text", 4),
    _table("string", "key text date rid exact edge", 5),
    _table("period", "key span low high date rid edge", 6),
    _table("number", "key span low high date rid text extra edge", 8),
    _table(
        "composite",
        "key text date rid place extra low high text2 extra2 low2 high2 text3 extra3 low3 high3",
        5,
    ),
    _table("position", "key latitude longitude date rid", 5),
)
"""In the order of the fields of Rows."""


def index_rows(values: IndexValues, rid: int, symbols: Lookup) -> Rows:
    """The rows to keep for ``values`` of the resource ``rid``. ``symbols`` gives the numbers of repeating texts."""
    date = values.date
    _note_units(values.numbers, symbols)
    term: set[Row] = {(key, code, date, rid, symbols[system]) for key, code, system in values.tokens}
    term.update([(key, id, date, rid, symbols[type]) for key, id, type in values.references])
    term.update([(key, uri, date, rid, 0) for key, uri in values.uris])
    term.update([(key, gram, date, rid, 0) for key, gram in _gram_keys(values.strings)])
    return Rows(
        term,
        {(rid, key, symbols[type], id) for key, id, type in values.references if type},
        _edged(
            [
                (key, text, date, rid, exact_form(text, exact), edge)
                for key, text, exact, edge in values.strings
            ]
        ),
        _edged([(key, span(low, high), low, high, date, rid, edge) for key, low, high, edge in values.dates]),
        _edged(
            [
                (key, int(low != high), low, high, date, rid, code, symbols[system], edge)
                for key, low, high, system, code, edge in values.numbers
            ]
        ),
        {
            (key, *_first(parts[0], symbols, date, rid, place), *_further(parts[1:], symbols))
            for place, (key, parts) in enumerate(values.composites)
        },
        {(key, latitude, longitude, date, rid) for key, latitude, longitude in values.positions},
    )


def span(low: int, high: int) -> int:
    """The class of width of ``[low, high)``; see WIDTHS."""
    width = high - low
    return 0 if width <= WIDTHS[0] else 1 if width <= WIDTHS[1] else 2


def _note_units(numbers: list[NumberRow], symbols: Lookup) -> None:
    """Give every unit a number, too: a search asks for a quantity only in units that there are."""
    for row in numbers:
        symbols[row.code]


def _gram_keys(strings: list[StringRow]) -> Iterator[tuple[int, str]]:
    for key, text, exact, _ in strings:
        if exact and not text.isascii():
            yield from ((key, gram) for gram in grams(text))


def _edged(rows: list[Row]) -> set[Row]:
    """``rows`` with those folded that differ in nothing but the last column, the edge, a set of two bits."""
    once = set(rows)
    if len(once) < 2 or len({row[:-1] for row in once}) == len(once):
        return once
    folded: dict[Row, int] = {}
    for row in rows:
        folded[row[:-1]] = folded.get(row[:-1], 0) | row[-1]
    return {(*identity, edge) for identity, edge in folded.items()}


# ── composites: every part is (text, extra, low, high) ────────────────────────

_PARTS: Final[dict[type, Callable[[Any, Lookup], Row]]] = {
    TokenRow: lambda row, symbols: (row.code, symbols[row.system], None, None),
    ReferenceRow: lambda row, symbols: (row.id, symbols[row.type], None, None),
    UriRow: lambda row, symbols: (row.uri, None, None, None),
    StringRow: lambda row, symbols: (row.text, None, None, None),
    DateRow: lambda row, symbols: ("", None, row.low, row.high),
    NumberRow: lambda row, symbols: (row.code, symbols[row.system], row.low, row.high),
}


def _first(part: NamedTuple, symbols: Lookup, date: int, rid: int, place: int) -> Row:
    text, *others = _PARTS[type(part)](part, symbols)
    return (text, date, rid, place, *others)


def _further(parts: tuple[NamedTuple, ...], symbols: Lookup) -> Row:
    columns = [column for part in parts for column in _PARTS[type(part)](part, symbols)]
    return (*columns, *[None] * (8 - len(columns)))
