"""read: ``GET [base]/[type]/[id]``, the current version.

Source: FHIR R4 http.html#read, http.html#cread.
"""

from __future__ import annotations

from fhir_server.errors import Gone, NotFound
from fhir_server.interactions.conditional import etag, is_match
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.write import require_type
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller
from fhir_server.store import Record


async def read(
    server: Server,
    caller: Caller,
    type: str,
    id: str,
    *,
    if_none_match: str | None = None,
    if_modified_since: int | None = None,
) -> Outcome:
    """The current version: 200, or 304 when it is the one that ``if_none_match`` names or, without that, was written
    before ``if_modified_since`` (microseconds since 1970 UTC).

    Raises NotFound, and Gone with the deletion's ETag.
    """
    require_type(server, type)
    check_access(caller, "read", type)
    kept = await server.store.read(type, id)
    record = require_here(kept or server.own.read(server, type, id), type, id)
    if if_none_match is not None and is_match("If-None-Match", if_none_match, record):
        return Outcome(304, record)
    is_known = if_none_match is None and if_modified_since is not None and record.updated < if_modified_since
    return Outcome(304 if is_known else 200, record)


def require_here(record: Record | None, type: str, id: str) -> Record:
    """``record``, unless there is none (NotFound) or it says that the resource was deleted (Gone)."""
    if record is None:
        raise NotFound(f"there is no {type}/{id}")
    if record.deleted:
        raise Gone(
            f"{type}/{id} was deleted in version {record.version}", headers={"ETag": etag(record.version)}
        )
    return record
