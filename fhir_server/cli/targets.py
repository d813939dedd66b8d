"""Where ``load`` and ``demo`` send Bundles: a running server, or a store in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import orjson

from fhir_server.cli.failures import UsageFault
from fhir_server.errors import FhirError
from fhir_server.interactions.context import Server
from fhir_server.interactions.transaction import transaction
from fhir_server.security.caller import SYSTEM


@dataclass(frozen=True, slots=True)
class Result:
    """How many entries were written, and the faults: (entry number or None for the whole, reason)."""

    loaded: int
    faults: list[tuple[int | None, str]]


class Target(Protocol):
    """Something that carries out transaction and batch Bundles."""

    async def run(self, bundle: bytes) -> Result:
        """Carry out ``bundle``; a refusal is a result, not an exception."""


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """The interactions of this process on a store of its own."""

    server: Server

    @staticmethod
    @asynccontextmanager
    async def open(url: str | None) -> AsyncIterator[StoreTarget]:
        """Open the store ``url`` (default: the setting's) for the length of the block."""
        from fhir_server.app import opened
        from fhir_server.settings import Settings

        settings = Settings(store=url) if url else Settings()
        async with opened(settings) as server:
            yield StoreTarget(server)

    async def run(self, bundle: bytes) -> Result:
        """Carry out ``bundle`` as the server itself."""
        try:
            done = await transaction(self.server, SYSTEM, bundle)
        except FhirError as error:
            return Result(0, [(None, _reasons(error.outcome()))])
        return _result(orjson.loads(done.resource or b"{}"))


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A running server, spoken to as one of its clients."""

    http: httpx.AsyncClient

    @staticmethod
    @asynccontextmanager
    async def open(base: str, client: str, secret: str) -> AsyncIterator[HttpTarget]:
        """Log in at ``base`` (when a client is given) for the length of the block. Raises UsageFault when refused."""
        async with httpx.AsyncClient(timeout=600, trust_env=False) as http:
            if client:
                http.headers["Authorization"] = f"Bearer {await fetch_token(http, base, client, secret)}"
            http.base_url = httpx.URL(base.rstrip("/") + "/")
            yield HttpTarget(http)

    async def run(self, bundle: bytes) -> Result:
        """POST ``bundle`` to the base."""
        answer = await self.http.post("", content=bundle, headers={"Content-Type": "application/fhir+json"})
        body = _json(answer)
        if answer.is_success:
            return _result(body)
        return Result(0, [(None, f"{answer.status_code} {_reasons(body)}")])


async def fetch_token(http: httpx.AsyncClient, base: str, client: str, secret: str) -> str:
    """An access token for ``client`` by client credentials (RFC 6749 §4.4). Raises UsageFault when refused."""
    url = httpx.URL(base).copy_with(path="/auth/token", query=None)
    answer = await http.post(url, data={"grant_type": "client_credentials"}, auth=(client, secret))
    if not answer.is_success:
        raise UsageFault(
            f"{url} refused the client {client!r}: {_json(answer).get('error_description', answer.status_code)}"
        )
    token: str = answer.json()["access_token"]
    return token


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _result(bundle: dict[str, Any]) -> Result:
    answers = [entry.get("response", {}) for entry in bundle.get("entry", ())]
    faults = [
        (number, f"{answer.get('status')} {_reasons(answer.get('outcome', {}))}")
        for number, answer in enumerate(answers)
        if not str(answer.get("status", "")).startswith("2")
    ]
    return Result(len(answers) - len(faults), [(number, reason) for number, reason in faults])


def _reasons(outcome: dict[str, Any]) -> str:
    return "; ".join(
        " ".join([*issue.get("expression", ()), issue.get("details", {}).get("text", issue.get("code", ""))])
        for issue in outcome.get("issue", ())
    )
