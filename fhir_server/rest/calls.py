"""What each row of the route table does: the request's parts, handed to its interaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from fhir_server.interactions.context import Outcome
from fhir_server.interactions.create import create as create_resource
from fhir_server.interactions.delete import delete as delete_resource
from fhir_server.interactions.erase import delete_history as remove_versions
from fhir_server.interactions.history import history as read_history
from fhir_server.interactions.parts import part_of
from fhir_server.interactions.patch import patch as patch_resource
from fhir_server.interactions.read import read as read_resource
from fhir_server.interactions.search import ALL
from fhir_server.interactions.search import search as search_type
from fhir_server.interactions.transaction import transaction as run_bundle
from fhir_server.interactions.update import update as update_resource
from fhir_server.interactions.vread import vread as read_version
from fhir_server.rest.headers import PATCH_TYPES, RESOURCE_TYPES
from fhir_server.rest.request import Request
from fhir_server.rest.uri import split_path
from fhir_server.search.compartments import Compartment


async def read(request: Request) -> Outcome:
    """``GET {type}/{id}``, also conditional."""
    found = await read_resource(
        request.server,
        request.caller,
        request.type,
        request.id,
        if_none_match=request.header(b"if-none-match"),
    )
    return _part(request, found) if request.query else found


async def vread(request: Request) -> Outcome:
    """``GET {type}/{id}/_history/{version}``."""
    found = await read_version(
        request.server,
        request.caller,
        request.type,
        request.id,
        request.last,
        if_none_match=request.header(b"if-none-match"),
    )
    return _part(request, found) if request.query else found


def _part(request: Request, found: Outcome) -> Outcome:
    return part_of(request.server.definitions, found, request.query)


async def search(request: Request) -> Outcome:
    """``GET {type}?…``."""
    return await search_type(
        request.server,
        request.caller,
        request.type,
        request.query + request.own,
        base=request.base,
        lenient=request.prefer.lenient,
    )


async def search_by_form(request: Request) -> Outcome:
    """``POST {type}/_search``: the pairs of the address and of the form together."""
    request.query = await request.form()
    return await search(request)


async def search_system(request: Request) -> Outcome:
    """``GET ?_type=…``: several types, or all."""
    return await search_type(
        request.server,
        request.caller,
        None,
        request.query + request.own,
        base=request.base,
        lenient=request.prefer.lenient,
    )


async def search_system_by_form(request: Request) -> Outcome:
    """``POST _search``."""
    request.query = await request.form()
    return await search_system(request)


async def search_compartment(request: Request) -> Outcome:
    """``GET {type}/{id}/{member}`` and ``GET {type}/{id}/*``."""
    member = split_path(request.path)[3]
    return await search_type(
        request.server,
        request.caller,
        None if member == ALL else member,
        request.query + request.own,
        compartment=Compartment(request.type, request.id),
        base=request.base,
        lenient=request.prefer.lenient,
    )


async def search_compartment_by_form(request: Request) -> Outcome:
    """``POST {type}/{id}/{member}/_search`` and ``POST {type}/{id}/*/_search``."""
    request.query = await request.form()
    return await search_compartment(request)


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


async def delete_by_criteria(request: Request) -> Outcome:
    """``DELETE {type}?…``."""
    return await delete_resource(
        request.server,
        request.caller,
        request.type,
        None,
        criteria=urlencode(request.query),
        if_match=request.header(b"if-match"),
        base=request.base,
    )


async def history(request: Request) -> Outcome:
    """``GET _history``."""
    return await read_history(
        request.server, request.caller, pairs=request.query, kept=request.own, base=request.base
    )


async def history_of_type(request: Request) -> Outcome:
    """``GET {type}/_history``."""
    return await read_history(
        request.server, request.caller, request.type, pairs=request.query, kept=request.own, base=request.base
    )


async def history_of_instance(request: Request) -> Outcome:
    """``GET {type}/{id}/_history``."""
    return await read_history(
        request.server,
        request.caller,
        request.type,
        request.id,
        pairs=request.query,
        kept=request.own,
        base=request.base,
    )


async def delete_history(request: Request) -> Outcome:
    """``DELETE {type}/{id}/_history``."""
    return await remove_versions(request.server, request.caller, request.type, request.id)


async def delete_version(request: Request) -> Outcome:
    """``DELETE {type}/{id}/_history/{version}``."""
    return await remove_versions(request.server, request.caller, request.type, request.id, request.last)


async def patch(request: Request) -> Outcome:
    """``PATCH {type}/{id}`` with a JSON Patch, a merge patch or a FHIRPath Patch."""
    return await _patch(request, request.id, None)


async def patch_by_criteria(request: Request) -> Outcome:
    """``PATCH {type}?…``."""
    return await _patch(request, None, urlencode(request.query))


async def _patch(request: Request, id: str | None, criteria: str | None) -> Outcome:
    return await patch_resource(
        request.server,
        request.caller,
        request.type,
        id,
        await request.body(PATCH_TYPES),
        content_type=request.content_type,
        criteria=criteria,
        if_match=request.header(b"if-match"),
        base=request.base,
    )


async def transaction(request: Request, describe: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """``POST /fhir``; ``describe`` gives the CapabilityStatement, for an entry that asks for it."""
    return await run_bundle(
        request.server,
        request.caller,
        await request.body(RESOURCE_TYPES),
        prefer=request.prefer.answer,
        base=request.base,
        lenient=request.prefer.lenient,
        describe=describe,
    )
