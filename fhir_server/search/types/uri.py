"""Uri: compared byte by byte; a canonical with a version is also found without it.

Source: FHIR R4 search.html#uri.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fhir_server.search.index import UriRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types.base import Emit, Reading, Rows
from fhir_server.search.types.escapes import unescape
from fhir_server.search.values import UriValue


def parse(parameter: SearchParameter, text: str, reading: Reading) -> UriValue:
    """Any uri, as it stands."""
    return UriValue(unescape(text))


def _uri(key: int) -> Emit:
    return lambda value, rows: rows.uris.append(UriRow(key, value))


def _canonical(key: int) -> Emit:
    def emit(value: str, rows: Rows) -> None:
        rows.uris.append(UriRow(key, value))
        bare, bar, _ = value.partition("|")
        if bar:
            rows.uris.append(UriRow(key, bare))

    return emit


EMITTERS: Mapping[str, Callable[[int], Emit]] = {
    **dict.fromkeys(("uri", "url", "oid", "uuid"), _uri),
    "canonical": _canonical,
}


def admits(value: UriValue, modifier: str | None, row: UriRow) -> bool:
    """Whether the row is the uri."""
    return value.uri == row.uri
