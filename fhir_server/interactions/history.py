"""history: the versions of one resource, of one type or of all, newest first.

Source: FHIR R4 http.html#history.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from fhir_server.errors import InvalidSearch, Issue, NotFound
from fhir_server.interactions.bundles import CURSOR, Pairs, page_links, version_entry
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.write import require_type
from fhir_server.model.bundle import make_bundle
from fhir_server.model.dates import parse_interval
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Record

MOST = 1000
"""The longest page."""


async def history(
    server: Server,
    caller: Caller,
    type: str | None = None,
    id: str | None = None,
    *,
    pairs: Pairs = (),
    kept: Pairs = (),
    base: str = "",
) -> Outcome:
    """A history Bundle; ``pairs`` are the URL's ``_count``, ``_since``, ``_at`` and the page's cursor, ``kept`` what
    its links repeat besides.

    Raises NotFound for an id that was never used, InvalidSearch with every bad parameter.
    """
    if type is not None:
        require_type(server, type)
    check_access(caller, "history", type)
    wanted = _parse(server, pairs)
    page = await server.store.history(type, id, **wanted)
    if id is not None and not page.records:
        await _require_used(server, str(type), id)
    path = "/".join(part for part in (type, id, "_history") if part)
    links = page_links(base, path, [*pairs, *kept], page.next)
    made = await _made_by(server.store, page.records)
    entries = (version_entry(base, record, is_new=record.sequence in made) for record in page.records)
    return Outcome(200, resource=make_bundle("history", entries, links=links, total=page.total))


async def _made_by(reading: Reading, records: Sequence[Record]) -> Container[int]:
    """The sequences of ``records`` that made their resource: the first version, or one that followed a deletion."""
    shown = {(record.type, record.id, record.version): record.deleted for record in records}
    return {
        record.sequence for record in records if not record.deleted and await _is_new(reading, record, shown)
    }


async def _is_new(reading: Reading, record: Record, shown: Mapping[tuple[str, str, int], bool]) -> bool:
    if record.version == 1 or record.method != "PUT":
        return record.version == 1
    before = (record.type, record.id, record.version - 1)
    if before in shown:
        return shown[before]
    kept = await reading.read_version(*before)
    return kept is not None and kept.deleted


async def _require_used(server: Server, type: str, id: str) -> None:
    if await server.store.read(type, id) is None:
        raise NotFound(f"there is no {type}/{id}")


def _parse(server: Server, pairs: Pairs) -> dict[str, Any]:
    """The store's arguments. Raises InvalidSearch with every parameter that cannot be used."""
    wanted: dict[str, Any] = {}
    issues: list[Issue] = []
    for name, text in pairs:
        try:
            field, parse = PARAMETERS[name]
            wanted[field] = parse(server, text)
        except KeyError:
            known = ", ".join(PARAMETERS)
            issues.append(Issue("error", "not-supported", f"a history has only {known}", f"http.{name}"))
        except ValueError as error:
            issues.append(Issue("error", "value", str(error), f"http.{name}"))
    if issues:
        raise InvalidSearch(issues=issues)
    return wanted


def _count(server: Server, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("_count is a whole number")
    return min(int(text), MOST)


def _since(server: Server, text: str) -> int:
    return parse_interval(text, server.timezone)[0]


def _at(server: Server, text: str) -> tuple[int, int]:
    """A partial date is all the time it names: ``_at=2026-03`` shows what stood at some time in March."""
    return parse_interval(text, server.timezone)


def _cursor(server: Server, text: str) -> str:
    return text


PARAMETERS: Mapping[str, tuple[str, Callable[[Server, str], Any]]] = {
    "_count": ("count", _count),
    "_since": ("since", _since),
    "_at": ("at", _at),
    CURSOR: ("cursor", _cursor),
}
"""URL parameter → argument of ``Store.history`` and how its text is read."""
