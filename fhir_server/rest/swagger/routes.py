"""The routes of the documentation: pages and scripts from files, documents from ``OpenApi``.

The content security policy allows this origin only, and no inline script.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from importlib.resources import files

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from fhir_server.errors import NotFound
from fhir_server.rest.openapi import OpenApi
from fhir_server.rest.openapi.documents import SYSTEM

MEDIA_TYPES = {
    "docs.html": "text/html; charset=utf-8",
    "docs.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "vendor/favicon-32x32.png": "image/png",
    "vendor/swagger-ui.css": "text/css; charset=utf-8",
    "vendor/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "vendor/LICENSE": "text/plain; charset=utf-8",
    "vendor/NOTICE": "text/plain; charset=utf-8",
    "vendor/swagger-ui-bundle.js.LICENSE.txt": "text/plain; charset=utf-8",
}
"""Every file that is served, and nothing else."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


def documentation_router(documents: OpenApi) -> APIRouter:
    """The router of ``/docs`` and ``/openapi…``; a document is made when it is first asked for."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def page(request: Request) -> Response:
        return _file(request, "docs.html")

    @router.get("/docs/static/{name:path}")
    async def static(request: Request, name: str) -> Response:
        return _file(request, name)

    @router.get("/openapi.json")
    async def everything(request: Request) -> Response:
        return _document(request, await run_in_threadpool(documents.whole))

    @router.get("/openapi/{name}.json")
    async def one(request: Request, name: str) -> Response:
        return _document(request, await run_in_threadpool(_named, documents, name))

    return router


def _named(documents: OpenApi, name: str) -> bytes:
    if name == "index":
        return orjson.dumps(documents.names)
    if name == SYSTEM:
        return documents.of_system()
    try:
        return documents.of_type(name)
    except KeyError as error:
        raise NotFound("there is no such document; /openapi/index.json has the names of all") from error


@cache
def _read(name: str) -> tuple[bytes, str]:
    """The content of a served file and its tag. Raises KeyError for any other name."""
    if name not in MEDIA_TYPES:
        raise KeyError(name)
    content = files(__package__).joinpath("static", name).read_bytes()
    return content, _tag(content)


def _file(request: Request, name: str) -> Response:
    try:
        content, tag = _read(name)
    except KeyError as error:
        raise NotFound("there is no such file here; the documentation begins at /docs") from error
    return _answer(request, content, tag, MEDIA_TYPES[name])


def _document(request: Request, content: bytes) -> Response:
    return _answer(request, content, _tag(content), "application/json")


def _tag(content: bytes) -> str:
    return f'"{blake2b(content, digest_size=12).hexdigest()}"'


def _answer(request: Request, content: bytes, tag: str, media_type: str) -> Response:
    """200, or 304 when the browser has the same content already."""
    headers = {"ETag": tag, "Cache-Control": "no-cache", **PAGE_HEADERS}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
