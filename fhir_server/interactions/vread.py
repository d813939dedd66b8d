"""vread: ``GET [base]/[type]/[id]/_history/[vid]``, one version.

Source: FHIR R4 http.html#vread.
"""

from __future__ import annotations

import re

from fhir_server.errors import NotFound
from fhir_server.interactions.conditional import is_match
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.read import require_here
from fhir_server.interactions.write import require_type
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller

VERSION = re.compile(r"[1-9][0-9]{0,17}")


async def vread(
    server: Server,
    caller: Caller,
    type: str,
    id: str,
    version: str,
    *,
    if_none_match: str | None = None,
) -> Outcome:
    """Version ``version`` (text of the URL), current or past: 200, or 304 when ``if_none_match`` names it.

    Raises NotFound, and Gone for the version that a delete made.
    """
    require_type(server, type)
    check_access(caller, "vread", type)
    record = None
    if VERSION.fullmatch(version):
        record = await server.store.read_version(type, id, int(version))
    if record is None and version == "1":
        record = server.own.read(server, type, id)
    if record is None:
        raise NotFound(f"there is no version {version} of {type}/{id}")
    found = require_here(record, type, id)
    known = if_none_match is not None and is_match("If-None-Match", if_none_match, found)
    return Outcome(304 if known else 200, found)
