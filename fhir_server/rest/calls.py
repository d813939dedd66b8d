"""What each row of the route table does: the request's parts, handed to its interaction."""

from __future__ import annotations

from urllib.parse import urlencode

from fhir_server.interactions.context import Outcome
from fhir_server.interactions.create import create as create_resource
from fhir_server.interactions.delete import delete as delete_resource
from fhir_server.interactions.history import history as read_history
from fhir_server.interactions.read import read as read_resource
from fhir_server.interactions.search import search as search_type
from fhir_server.interactions.update import update as update_resource
from fhir_server.interactions.vread import vread as read_version
from fhir_server.rest.request import Request


async def read(request: Request) -> Outcome:
    """``GET {type}/{id}``, also conditional."""
    return await read_resource(
        request.server,
        request.caller,
        request.type,
        request.id,
        if_none_match=request.header(b"if-none-match"),
    )


async def vread(request: Request) -> Outcome:
    """``GET {type}/{id}/_history/{version}``."""
    return await read_version(request.server, request.caller, request.type, request.id, request.last)


async def search(request: Request) -> Outcome:
    """``GET {type}?…``."""
    return await search_type(
        request.server,
        request.caller,
        request.type,
        request.query,
        base=request.base,
        lenient=request.prefer.lenient,
    )


async def search_by_form(request: Request) -> Outcome:
    """``POST {type}/_search``: the pairs of the address and of the form together."""
    request.query = await request.form()
    return await search(request)


async def create(request: Request) -> Outcome:
    """``POST {type}``, also conditional."""
    return await create_resource(
        request.server,
        request.caller,
        await request.resource(),
        type=request.type,
        if_none_exist=request.header(b"if-none-exist"),
        base=request.base,
    )


async def update(request: Request) -> Outcome:
    """``PUT {type}/{id}``, also to a new id."""
    return await update_resource(
        request.server,
        request.caller,
        await request.resource(),
        type=request.type,
        id=request.id,
        if_match=request.header(b"if-match"),
        if_none_match=request.header(b"if-none-match"),
        base=request.base,
    )


async def update_by_criteria(request: Request) -> Outcome:
    """``PUT {type}?…``."""
    return await update_resource(
        request.server,
        request.caller,
        await request.resource(),
        type=request.type,
        criteria=urlencode(request.query),
        if_match=request.header(b"if-match"),
        if_none_match=request.header(b"if-none-match"),
        base=request.base,
    )


async def delete(request: Request) -> Outcome:
    """``DELETE {type}/{id}``."""
    return await delete_resource(
        request.server, request.caller, request.type, request.id, if_match=request.header(b"if-match")
    )


async def history(request: Request) -> Outcome:
    """``GET _history``."""
    return await read_history(request.server, request.caller, pairs=request.query, base=request.base)


async def history_of_type(request: Request) -> Outcome:
    """``GET {type}/_history``."""
    return await read_history(
        request.server, request.caller, request.type, pairs=request.query, base=request.base
    )


async def history_of_instance(request: Request) -> Outcome:
    """``GET {type}/{id}/_history``."""
    return await read_history(
        request.server, request.caller, request.type, request.id, pairs=request.query, base=request.base
    )
