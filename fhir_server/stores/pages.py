"""The order of the rows of a page, the same in every engine.

A row has the values of the sort keys, then its date, then the number of its resource; before them may stand columns
that are of no matter here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from fhir_server.search.query import SortKey
from fhir_server.stores.cursor import Place

Row = tuple[Any, ...]


def arrange(rows: list[Any], sort: Sequence[SortKey], start: int) -> None:
    """Put ``rows`` in the order of ``sort`` (none: the default); ``start`` is the column of its first value.

    Raises TypeError when values cannot be compared: a position was not made by this store.
    """
    place = itemgetter(start + len(sort), start + len(sort) + 1)
    rows.sort(key=place, reverse=sort[0].descending if sort else True)
    for column, key in reversed(tuple(enumerate(sort, start))):
        rows.sort(key=_last_without(column, key.descending), reverse=key.descending)


def _last_without(column: int, descending: bool) -> Callable[[Any], tuple[bool, Any]]:
    """The value in ``column``, so that rows without one come last in either direction."""
    return lambda row: ((row[column] is None) is not descending, row[column])


def following(sort: Sequence[SortKey], place: Place, found: Sequence[Row]) -> list[Row]:
    """What of ``found`` (sort values, date, number and one column more) comes after ``place``, in order.

    Raises TypeError as ``arrange``.
    """
    if not found:
        return []
    rows = [(*place.keys, 0), *(each for each in found if each[-2] != place.keys[-1])]
    arrange(rows, sort, 0)
    return rows[rows.index((*place.keys, 0)) + 1 :]
