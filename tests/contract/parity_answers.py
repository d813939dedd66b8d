"""Answers of a server that are changed on their way, each in one respect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import orjson
from parity_kit import Side

Json = dict[str, Any]


def _changed(answer: httpx.Response, change: Callable[[Json], None]) -> httpx.Response:
    """``answer`` with another body."""
    data = answer.json()
    change(data)
    return httpx.Response(answer.status_code, headers=answer.headers, content=orjson.dumps(data))


def _with_header(answer: httpx.Response, name: str, text: str) -> httpx.Response:
    """``answer`` with ``text`` in its header ``name``, where it has that one."""
    headers = httpx.Headers(answer.headers)
    if name in headers:
        headers[name] = text
    return httpx.Response(answer.status_code, headers=headers, content=answer.content)


def _lose_one(data: Json) -> None:
    del data.get("entry", [])[1:]


def _turn(data: Json) -> None:
    data.get("entry", []).reverse()


def _miscount(data: Json) -> None:
    data["total"] = 4


def _lose_next(data: Json) -> None:
    data["link"] = [link for link in data.get("link", ()) if link["relation"] != "next"]


def _other_member(data: Json) -> None:
    if data["resourceType"] == "Patient":
        data["active"] = False


DIFFERENCES: dict[str, Callable[[httpx.Response], httpx.Response]] = {
    "loses one": lambda answer: _changed(answer, _lose_one),
    "turns the order": lambda answer: _changed(answer, _turn),
    "miscounts": lambda answer: _changed(answer, _miscount),
    "has no next page": lambda answer: _changed(answer, _lose_next),
    "another member": lambda answer: _changed(answer, _other_member),
    "another status": lambda answer: httpx.Response(
        201 if answer.status_code == 200 else 200, headers=answer.headers, content=answer.content
    ),
    "another version": lambda answer: _with_header(answer, "etag", 'W/"9"'),
    "another time": lambda answer: _with_header(answer, "last-modified", "Mon, 02 Mar 2026 01:12:00 GMT"),
}
"""What is changed → how."""


class Spoiled(httpx.AsyncBaseTransport):
    """A server whose answers are changed on their way."""

    def __init__(self, change: Callable[[httpx.Response], httpx.Response], inner: Any) -> None:
        self._change, self._inner = change, inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        await answer.aread()
        return self._change(answer)


@asynccontextmanager
async def spoiled(side: Side, difference: str) -> AsyncIterator[Side]:
    """``side`` with that difference in its answers."""
    transport = Spoiled(DIFFERENCES[difference], side.transport)
    async with httpx.AsyncClient(transport=transport, base_url=side.http.base_url) as http:
        yield replace(side, http=http)
