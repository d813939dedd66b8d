"""Uri: compared byte by byte; a canonical with a version is also found without it.

``:below`` finds what lies under a URL as a path, ``:above`` what a URL lies under.
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


def stem(text: str) -> UriValue:
    """The URL in ``text`` without a slash at its end. Raises ValueError for a uri that has no path (``urn:oid:1``)."""
    uri = unescape(text).rstrip("/")
    if "://" not in uri:
        raise ValueError(
            "only a URL (http://…) has something above and below it; search a urn without a modifier"
        )
    return UriValue(uri)


def ancestors(value: UriValue) -> tuple[UriValue, ...]:
    """``value`` and every URL above it, each with and without a slash at its end."""
    scheme, _, path = value.uri.partition("://")
    steps = path.split("/")
    above = ["/".join(steps[:length]) for length in range(len(steps), 0, -1)]
    return tuple(UriValue(f"{scheme}://{each}{end}") for each in above if each for end in ("", "/"))


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
    """Whether the row is the uri, or with ``below`` lies under it."""
    if modifier == "below" and row.uri.startswith(f"{value.uri}/"):
        return True
    return value.uri == row.uri
