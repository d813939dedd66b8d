"""The part of the server that FastAPI answers: health, metrics, tokens, and what others mount on it.

Its own errors (404, 405, 422) are told as OperationOutcome too; only ``/auth/token`` speaks the
language of RFC 6749.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from fhir_server.errors import (
    FhirError,
    Forbidden,
    InvalidContent,
    Issue,
    NotFound,
    NotSupported,
    StoreUnavailable,
    Unprocessable,
)
from fhir_server.rest.bugs import bug
from fhir_server.rest.metrics import RequestMetrics
from fhir_server.rest.reply import NOSNIFF, reply_error

PATIENCE = 5.0
"""Seconds that a check of the store may take before the server says that it is not ready."""

STORE_UP = "store_up"
"""The gauge that is 1 when the store answers, else 0."""

Check = Callable[[], Awaitable[None]]
Gauges = Callable[[], Awaitable[Mapping[str, float]]]
_FRAMEWORK_ERRORS: dict[int, type[FhirError]] = {403: Forbidden, 404: NotFound, 405: NotSupported}


def build_site(check: Check, metrics: RequestMetrics, gauges: Gauges) -> FastAPI:
    """The FastAPI application.

    ``check`` raises StoreUnavailable unless the server can work now; ``gauges`` gives what ``/metrics``
    shows besides the requests.
    """
    site = FastAPI(title="FHIR server", docs_url=None, redoc_url=None, openapi_url=None)
    site.include_router(_health(check))
    site.include_router(_metrics(metrics, gauges))
    site.add_exception_handler(FhirError, _tell_error)
    site.add_exception_handler(HTTPException, _tell_framework_error)
    site.add_exception_handler(RequestValidationError, _tell_invalid_parameters)
    site.add_exception_handler(Exception, _tell_bug)
    return site


def _health(check: Check) -> APIRouter:
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "pass"}

    @router.get("/ready")
    async def ready() -> dict[str, str]:
        """Reads and writes can be served now; 503 otherwise."""
        try:
            async with asyncio.timeout(PATIENCE):
                await check()
        except TimeoutError as error:
            raise StoreUnavailable(
                f"the store has not answered within {PATIENCE:.0f} s", headers={"Retry-After": "5"}
            ) from error
        return {"status": "pass"}

    return router


def _metrics(metrics: RequestMetrics, gauges: Gauges) -> APIRouter:
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(registry=registry)
    router = APIRouter(tags=["metrics"])

    @router.get("/metrics")
    async def scrape() -> Response:
        """Requests, durations and gauges in Prometheus' text format. When the store is away, that is told too."""
        try:
            async with asyncio.timeout(PATIENCE):
                metrics.gauges = {STORE_UP: 1.0, **await gauges()}
        except (TimeoutError, StoreUnavailable):
            metrics.gauges = {STORE_UP: 0.0}
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


def _as_response(error: FhirError) -> Response:
    status, headers, body = reply_error(error)
    response = Response(body, status_code=status)
    response.raw_headers = [pair for pair in headers if pair != NOSNIFF]  # the front adds it
    return response


async def _tell_error(request: Request, error: Any) -> Response:
    return _as_response(error)


async def _tell_framework_error(request: Request, error: Any) -> Response:
    kind = _FRAMEWORK_ERRORS.get(error.status_code, InvalidContent)
    text = f"{request.method} is not possible here" if kind is NotSupported else f"{error.detail}"
    return _as_response(kind(text, headers=error.headers))


async def _tell_invalid_parameters(request: Request, error: Any) -> Response:
    issues = [
        Issue("error", "value", fault["msg"], "http." + ".".join(str(part) for part in fault["loc"]))
        for fault in error.errors()
    ]
    return _as_response(Unprocessable(issues=issues))


async def _tell_bug(request: Request, error: Exception) -> Response:
    return _as_response(bug(request.scope["request_id"]))
