"""A client without sockets and without an HTTP library: thousands of questions take seconds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import orjson

from fhir_server.app import App, build
from fhir_server.rest.openapi.examples import ID, example
from fhir_server.settings import Settings

ROOT = Path(__file__).parents[1]

Json = dict[str, Any]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(slots=True)
class Client:
    """Asks the application directly: without sockets thousands of questions take seconds."""

    asgi: Asgi
    token: str
    asked: int = 0

    async def __call__(
        self,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        kind: str = "application/fhir+json",
        if_match: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Json]:
        """Status and body: JSON, of XML what the resource is, {} of anything else. ``path`` and ``query`` go out as
        they are."""
        sending = [
            (b"host", b"fhir.test"),
            (b"accept", b"application/fhir+json"),
            (b"authorization", f"Bearer {self.token}".encode()),
            *[(n.lower().encode(), v.encode("latin-1", "replace")) for n, v in (headers or {}).items()],
        ]
        if if_match:
            sending.append((b"if-match", if_match.encode()))
        if body:
            sending += [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "scheme": "http",
            "headers": sending,
            "query_string": query.encode("latin-1"),
        }
        sent: list[Json] = []

        async def receive() -> Json:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Json) -> None:
            sent.append(message)

        await self.asgi(scope, receive, send)
        self.asked += 1
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], _body(dict(sent[0]["headers"]).get(b"content-type", b""), content)


def _body(kind: bytes, content: bytes) -> Json:
    if content and b"json" in kind:
        read: Json = orjson.loads(content)
        return read
    root = re.search(rb"<(\w+)", content) if b"xml" in kind else None
    return {"resourceType": root[1].decode()} if root else {}


class Running:
    """An application in a loop of its own, which the examples of hypothesis are run in; without authentication."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.store = f"sqlite:///{folder}/fhir.db"
        self.app: App
        self.client: Client

    async def start(self, types: Sequence[str]) -> None:
        """Open it, with the example of each of ``types``."""
        folders: Any = {"profiles": ROOT / "profiles", "mappings": ROOT / "mappings"}
        wanted = Settings(store=self.store, durability="normal", mllp_port=0, auth="off", **folders)
        self.app = await self.stack.enter_async_context(build(wanted).running())
        self.client = Client(self.app.asgi, "")
        for type in types:
            data = {"resourceType": type, "id": ID, **example(self.app.server.definitions, type)}
            status, _ = await self.client("PUT", f"/fhir/{type}/{ID}", body=orjson.dumps(data))
            assert status == 201

    def ask(self, method: str, path: str, query: str = "", **more: Any) -> tuple[int, Any, float]:
        """Status, answer, and the seconds that the processor worked for it, in all threads."""
        before = process_time()
        status, answer = self.runner.run(self.client(method, path, query, **more))
        return status, answer, process_time() - before


@contextmanager
def running(folder: Path, types: Sequence[str]) -> Iterator[Running]:
    """A Running that is closed at the end."""
    found = Running(folder)
    with found.runner:
        found.runner.run(found.start(types))
        try:
            yield found
        finally:
            found.runner.run(found.stack.aclose())
