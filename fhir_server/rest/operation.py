"""Calls of ``$operations``: the address and the parameters, handed to ``interactions.operations``.

Source: FHIR R4 operations.html#executing.
"""

from __future__ import annotations

import msgspec

from fhir_server.interactions.context import Outcome
from fhir_server.interactions.operations import invoke
from fhir_server.rest.media import JSON
from fhir_server.rest.request import Request


async def invoke_on_system(request: Request) -> Outcome:
    """``$operation``."""
    return await _invoke(request, "system", None, None)


async def invoke_on_type(request: Request) -> Outcome:
    """``{type}/$operation``."""
    return await _invoke(request, "type", request.type, None)


async def invoke_on_instance(request: Request) -> Outcome:
    """``{type}/{id}/$operation``."""
    return await _invoke(request, "instance", request.type, request.id)


async def _invoke(request: Request, level: str, type: str | None, id: str | None) -> Outcome:
    body = await request.resource_if_any() if request.method == "POST" else None
    result = await invoke(
        request.server,
        request.caller,
        level,
        type,
        id,
        request.last.removeprefix("$"),
        body.data if body else None,
        query=request.query,
        kept=request.own,
        body=body.raw if body else b"",
        if_match=request.header(b"if-match"),
        request_id=request.header(b"x-request-id"),
        base=request.base,
        lenient=request.prefer.lenient,
        get=request.method != "POST",
    )
    is_changed = request.pretty or request.media is not JSON
    return await _gathered(result) if result.stream is not None and is_changed else result


async def _gathered(result: Outcome) -> Outcome:
    """``result`` in one piece: what is to get another form is needed as a whole."""
    assert result.stream is not None
    body = b"".join([piece async for piece in result.stream])
    return msgspec.structs.replace(result, resource=body, stream=None)
