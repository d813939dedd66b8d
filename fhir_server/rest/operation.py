"""Calls of ``$operations``: the address and the parameters, handed to ``interactions.operations``.

Source: FHIR R4 operations.html#executing.
"""

from __future__ import annotations

from fhir_server.interactions.context import Outcome
from fhir_server.interactions.operations import invoke
from fhir_server.model.resource import Json
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
    return await invoke(
        request.server,
        request.caller,
        level,
        type,
        id,
        request.last.removeprefix("$"),
        await _body(request),
        query=request.query,
        if_match=request.header(b"if-match"),
        request_id=request.header(b"x-request-id"),
        base=request.base,
        lenient=request.prefer.lenient,
        get=request.method != "POST",
    )


async def _body(request: Request) -> Json | None:
    body = await request.resource_if_any() if request.method == "POST" else None
    return body.data if body else None
