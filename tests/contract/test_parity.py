"""Clients cannot tell the two engines apart: random writes, then random questions, get the same answers of both.

Two whole servers, one on a SQLite file and one on a MongoDB database, have the same clock and give the same ids. All
that they answer must be equal: the status, every header and every byte of the body. Exempted are

- the text of ``_cursor`` in links, and with it ``content-length``: a cursor says where a page begins by numbers that an
  engine gives to its rows as it likes. Each server's own links are followed to the end instead, while others write.
- ``x-request-id``, which a server makes at random.
- 503 while texts are indexed in the background: it is asked again, as the answer says.

Resources are random and need not be valid, so nothing is validated here; the searches ask for what the resources say.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from parity_kit import Pair, Request, Side, running
from parity_requests import CHANGES, EVERYTHING, bundle, histories, reads, searches
from property import new_examples, same_examples
from random_resources import TYPES, stocks
from test_search_property import extract

from fhir_server.search.match import Indexed

Json = dict[str, Any]
Stock = dict[tuple[str, str], Json]


KEY = re.compile(r'"fullUrl":"http://fhir.test/fhir/([A-Za-z]+/[^"/]+)"')


class Unjudged:
    """Instead of the validator: random resources need not be valid."""

    def __init__(self, definitions: object) -> None:
        pass

    def validate(self, data: Json) -> list[Any]:
        return []


@pytest.fixture
async def pair(
    tmp_path: Path, mongo_url: str, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pair]:
    monkeypatch.setattr("fhir_server.app.Validator", Unjudged)
    async with running(f"sqlite:///{tmp_path}/parity.db", clock) as one, running(mongo_url, clock) as other:
        yield Pair((one, other), clock)


# ── what is there ─────────────────────────────────────────────────────────────


async def hold(pair: Pair, stock: Stock) -> None:
    """Remove for good what the example before left, and put ``stock``. It is the next whole hour then: an example must
    not depend on those before it."""
    left: dict[str, None] = {}
    for type in TYPES:
        for page in await pair.pages(Request("GET", f"{type}/_history?_count=100")):
            left |= dict.fromkeys(KEY.findall(page.body.decode()))
    purges = [{"request": {"method": "POST", "url": f"{key}/$purge"}} for key in left]
    puts = [
        {"request": {"method": "PUT", "url": "/".join(key)}, "resource": data} for key, data in stock.items()
    ]
    for entries in (purges, puts):
        answer = await pair.ask(bundle("batch", entries))
        done = [entry["response"]["status"][:1] for entry in answer.resource.get("entry", ())]
        assert set(done) <= {"2"}, answer.body
        pair.clock.moment = pair.clock.moment.replace(minute=0, second=0, microsecond=0)
        pair.clock.advance(hours=1)


def indexed(stock: Stock) -> list[Indexed]:
    """The stock as ``Searches`` wants it: what may be asked for."""
    return [Indexed(*key, 0, extract(key[0], orjson.dumps(data))) for key, data in stock.items()]


def instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ── the property ──────────────────────────────────────────────────────────────

PAUSES = st.sampled_from((0.0, 0.0, 0.001, 1.0, 90.0))
"""Seconds between two writes: often none, so that order does not come from the time."""


STEPS = st.lists(st.tuples(PAUSES, CHANGES), min_size=1, max_size=6)
BETWEEN = st.one_of(st.just([]), st.lists(st.tuples(PAUSES, CHANGES), max_size=3))
"""What others write between pages; drawn before, because what is drawn must not depend on the answers."""


async def _the_engines_answer_the_same(pair: Pair, stock: Stock, data: st.DataObject) -> None:
    await hold(pair, stock)
    moments = [instant(pair.clock())]
    for step in data.draw(STEPS):
        await _change(pair, step)
        moments.append(instant(pair.clock()))
    questions = st.one_of(
        *[searches(indexed(stock), moments)] * 3, histories(moments), reads(), EVERYTHING.map(_get)
    )
    for _ in range(8):
        request, steps = data.draw(questions), iter(data.draw(BETWEEN))
        pages = await pair.pages(request, lambda steps=steps: _change(pair, next(steps, None)))
        event(f"asked: {pages[0].status}, {min(len(pages), 3)} pages")


async def _change(pair: Pair, step: tuple[float, Request] | None) -> None:
    if step is not None:
        pair.clock.advance(seconds=step[0])
        event(f"{step[1].method}: {(await pair.ask(step[1])).status}")


def _get(url: str) -> Request:
    return Request("GET", url)


EXAMPLES = {"stock": stocks(), "data": st.data()}


@same_examples(80)
@given(**EXAMPLES)
async def test_the_engines_answer_the_same(pair: Pair, stock: Stock, data: st.DataObject) -> None:
    await _the_engines_answer_the_same(pair, stock, data)


@pytest.mark.long
@new_examples(3_000)
@given(**EXAMPLES)
async def test_the_engines_answer_the_same_long(pair: Pair, stock: Stock, data: st.DataObject) -> None:
    await _the_engines_answer_the_same(pair, stock, data)


# ── that it can fail ──────────────────────────────────────────────────────────

PEOPLE: Stock = {
    ("Patient", id): {"resourceType": "Patient", "id": id, "active": True} for id in ("r0", "r1", "r2")
}
ASKED = (
    Request("GET", "Patient?active=true&_sort=_id&_count=2&_total=accurate"),
    Request("GET", "Patient/r0"),
)


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
"""What the second server does to its answers."""


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
    transport = Spoiled(DIFFERENCES[difference], side.transport)
    async with httpx.AsyncClient(transport=transport, base_url=side.http.base_url) as http:
        yield replace(side, http=http)


async def test_the_engines_agree_on_what_is_spoiled_below(pair: Pair) -> None:
    await hold(pair, PEOPLE)
    pages = [await pair.pages(request) for request in ASKED]
    assert [len(each) for each in pages] == [2, 1]
    assert [entry["resource"]["id"] for entry in pages[0][0].resource["entry"]] == ["r0", "r1"]
    assert pages[0][1].resource["total"] == 3


@pytest.mark.parametrize("difference", DIFFERENCES)
async def test_a_difference_is_noticed(pair: Pair, difference: str) -> None:
    await hold(pair, PEOPLE)
    async with spoiled(pair.sides[1], difference) as other:
        unlike = Pair((pair.sides[0], other), pair.clock, pair.number)
        with pytest.raises(AssertionError):
            for request in ASKED:
                await unlike.pages(request)


async def test_a_lost_write_is_noticed(pair: Pair) -> None:
    """Each answer to a write may be right and yet one of the engines not have it."""
    await hold(pair, PEOPLE)
    await pair.sides[1].ask(Request("DELETE", "Patient/r2"), 1_000)
    with pytest.raises(AssertionError):
        await pair.pages(ASKED[0])
