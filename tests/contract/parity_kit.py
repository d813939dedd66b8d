"""Two whole servers, one on each engine, that are asked the same and must answer the same."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from moving_clock import Clock

from fhir_server.app import build
from fhir_server.settings import Settings

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
BASE = "http://fhir.test/fhir/"

CURSOR = re.compile(rb"_cursor=[A-Za-z0-9_%-]+")
EXEMPT = frozenset({"x-request-id"})
"""Headers that may differ: each server names requests itself, at random."""
PLAIN = {"Content-Type": "application/fhir+json", "Accept-Encoding": "identity"}
PATIENCE = 300
"""How often a 503 is asked again: texts are indexed in the background, each engine in its own time."""


@dataclass(frozen=True)
class Request:
    """``url`` is below ``/fhir/``, its query included."""

    method: str
    url: str
    body: Json | list[Json] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a client gets; ``next`` is the link to the next page, which is not compared."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    next: str | None = field(compare=False)

    @property
    def resource(self) -> Json:
        found: Json = orjson.loads(self.body)
        return found


@dataclass
class Side:
    """One of the servers: ``http`` asks it through ``transport``; ``ids`` gives the ids of the request under way.

    ``forget`` makes it forget the searches that were parsed before, and with them what was worked out for them.
    """

    http: httpx.AsyncClient
    transport: httpx.AsyncBaseTransport
    ids: Ids
    forget: Callable[[], None]

    async def ask(self, request: Request, number: int) -> Answer:
        """Its answer to ``request``, the one with this ``number``."""
        self.ids.begin(number)
        for _ in range(PATIENCE):
            given = await self.http.request(
                request.method,
                request.url,
                content=None if request.body is None else orjson.dumps(request.body),
                headers={**PLAIN, **request.headers},
            )
            if given.status_code != 503:
                break
            await asyncio.sleep(0.05)
        return answer_of(given)


def answer_of(given: httpx.Response) -> Answer:
    """The answer without what may differ: the text of a page's cursor, and so the length of the body, and EXEMPT."""
    headers = [(name, value) for name, value in given.headers.multi_items() if name not in EXEMPT]
    body = CURSOR.sub(b"_cursor=", given.content)
    if body != given.content:
        headers = [(name, value) for name, value in headers if name != "content-length"]
    return Answer(given.status_code, tuple(sorted(headers)), body, _next(given.content))


def _next(body: bytes) -> str | None:
    links = orjson.loads(body).get("link", ()) if b'"next"' in body else ()
    return next((str(link["url"]) for link in links if link["relation"] == "next"), None)


class Ids:
    """A generator of ids that begins anew with each request: what a server does in between takes none of them."""

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, number: int) -> None:
        self._number, self._counter = number, count(1)

    def __call__(self) -> str:
        return f"{self._number:08x}-0000-7000-8000-{next(self._counter):012x}"


@dataclass
class Pair:
    """Asks both sides. ``number`` counts the requests; since ``held`` the stock of the example under way is there."""

    sides: tuple[Side, Side]
    clock: Clock
    number: int = 0
    held: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.held = self.clock()

    async def ask(self, request: Request) -> Answer:
        """What both answer. Raises AssertionError when they do not agree."""
        answer, _ = await self._both(request, request)
        return answer

    async def pages(self, request: Request, between: Callable[[], Any] | None = None) -> list[Answer]:
        """All pages: each side's links are followed, with ``between`` called before each of them."""
        answers = [await self._both(request, request)]
        while (one := answers[-1][0].next) is not None:
            other = answers[-1][1].next
            assert other is not None, request
            if between is not None:
                await between()
            answers.append(await self._both(_following(request, one), _following(request, other)))
        assert answers[-1][1].next is None, request
        return [answer for answer, _ in answers]

    async def _both(self, *requests: Request) -> tuple[Answer, Answer]:
        self.number += 1
        one, other = [
            await side.ask(request, self.number) for side, request in zip(self.sides, requests, strict=True)
        ]
        assert one == other, f"{requests[0]}\n{one}\n{other}"
        return one, other


def _following(request: Request, url: str) -> Request:
    return Request("GET", url.removeprefix(BASE), None, request.headers)


class Unjudged:
    """Instead of the validator: random resources need not be valid."""

    def __init__(self, definitions: object) -> None:
        pass

    def validate(self, data: Json) -> list[Any]:
        return []


@asynccontextmanager
async def running_pair(folder: Path, mongo_url: str) -> AsyncIterator[Pair]:
    """A server on a SQLite file in ``folder`` and one on a MongoDB database, which validate nothing."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fhir_server.app.Validator", Unjudged)
        async with (
            running(f"sqlite:///{folder}/parity.db", clock) as one,
            running(mongo_url, clock) as other,
        ):
            yield Pair((one, other), clock)


@asynccontextmanager
async def running(store: str, now: Callable[[], datetime]) -> AsyncIterator[Side]:
    """A server on ``store``, without doors but ASGI; whoever asks may do everything."""
    ids = Ids()
    folders = {"profiles": ROOT / "profiles", "mappings": ROOT / "mappings"}
    settings = Settings(store=store, auth="off", durability="normal", mllp_port=0, **folders)
    async with build(settings, now=now, new_id=ids).running() as app:
        transport = httpx.ASGITransport(app.asgi)
        async with httpx.AsyncClient(transport=transport, base_url=BASE, trust_env=False) as http:
            yield Side(http, transport, ids, app.server.parameters.remembered.forget)
