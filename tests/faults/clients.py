"""Clients that read and write a few resources as fast as they can, and record what they saw.

Single resources are written with and without ``If-Match``; others are only ever written together, in transactions
(half of them conditional too), and read together by a search.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from math import inf
from random import Random
from time import monotonic
from typing import Any

import httpx
from linearizability import NOTHING, Kept, Operation

Json = dict[str, Any]
SINGLES = ("s0", "s1", "s2")
TOGETHER = (("t0", "t1", "t2"), ("u0", "u1"))
KEYS = (*SINGLES, *itertools.chain(*TOGETHER))
UNKNOWN = {429, 503}
"""After these a write may have been made, or not; no other failure is allowed."""


def resource(key: str, token: str) -> Json:
    identifier = [{"system": "urn:token", "value": token}, {"system": "urn:together", "value": key[0]}]
    return {"resourceType": "Patient", "id": key, "identifier": identifier}


def kept(resource: Json) -> Kept:
    return int(resource["meta"]["versionId"]), str(resource["identifier"][0]["value"])


def version_of(etag: str) -> int:
    return int(etag.removeprefix('W/"').removesuffix('"'))


class Client:
    """One client; ``operations`` is everybody's record."""

    def __init__(self, number: int, http: httpx.AsyncClient, operations: list[Operation]) -> None:
        self._http = http
        self._operations = operations
        self._chance = Random(number)
        self._tokens = (f"{number}-{count}" for count in itertools.count())

    async def act(self) -> bool:
        """Do one thing; False when there was no answer."""
        deeds = (self._read, self._put, self._update, self._update, self._transact, self._read_together)
        return await self._chance.choice(deeds)()

    async def _ask(self, method: str, path: str, **more: Any) -> tuple[httpx.Response | None, float, float]:
        start = monotonic()
        try:
            answer = await self._http.request(method, path, **more)
        except httpx.TransportError:
            return None, start, inf
        return answer, start, monotonic()

    async def _read(self) -> bool:
        return await self._look(self._chance.choice(SINGLES)) is not None

    async def _look(self, key: str) -> Kept | None:
        answer, start, end = await self._ask("GET", f"Patient/{key}")
        if answer is None or answer.status_code in UNKNOWN:
            return None
        assert answer.status_code in {200, 404}, answer.text
        seen = kept(answer.json()) if answer.status_code == 200 else NOTHING
        self._operations.append(Operation("read", start, end, "ok", (key,), seen={key: seen}))
        return seen

    async def _read_together(self) -> bool:
        keys = self._chance.choice(TOGETHER)
        answer, start, end = await self._ask("GET", f"Patient?identifier=urn:together|{keys[0][0]}")
        if answer is None or answer.status_code in UNKNOWN:
            return answer is not None
        assert answer.status_code == 200, answer.text
        found = {each["resource"]["id"]: kept(each["resource"]) for each in answer.json().get("entry", ())}
        seen = {key: found.get(key, NOTHING) for key in keys}
        self._operations.append(Operation("read together", start, end, "ok", keys, seen=seen))
        return True

    async def _put(self) -> bool:
        return await self._write_one(self._chance.choice(SINGLES), None)

    async def _update(self) -> bool:
        key = self._chance.choice(SINGLES)
        seen = await self._look(key)
        return seen is not None and await self._write_one(key, seen[0] or None)

    async def _write_one(self, key: str, before: int | None) -> bool:
        token, headers = next(self._tokens), {"If-Match": f'W/"{before}"'} if before else {}
        body = resource(key, token)
        answer, start, end = await self._ask("PUT", f"Patient/{key}", json=body, headers=headers)
        expected = {key: before} if before else {}
        seen = {}
        if answer is not None and answer.is_success:
            seen = {key: (version_of(answer.headers["ETag"]), token)}
        return self._record(answer, start, end, (key,), token, seen, expected)

    async def _transact(self) -> bool:
        keys, token, expected = self._chance.choice(TOGETHER), next(self._tokens), {}
        if self._chance.random() < 0.5:
            for key in keys:
                seen = await self._look(key)
                if seen is None:
                    return False
                expected |= {key: seen[0]} if seen[0] else {}
        entries = [_entry(key, token, expected.get(key)) for key in keys]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer, start, end = await self._ask("POST", "", json=bundle)
        told: dict[str, Kept] = {}
        if answer is not None and answer.is_success:
            etags = [each["response"]["etag"] for each in answer.json()["entry"]]
            told = {key: (version_of(etag), token) for key, etag in zip(keys, etags, strict=True)}
        return self._record(answer, start, end, keys, token, told, expected)

    def _record(
        self,
        answer: httpx.Response | None,
        start: float,
        end: float,
        keys: tuple[str, ...],
        token: str,
        seen: Mapping[str, Kept],
        expected: Mapping[str, int],
    ) -> bool:
        if answer is None or answer.status_code in UNKNOWN:
            outcome, end = "unknown", inf
        elif answer.is_success:
            outcome = "ok"
        else:
            assert answer.status_code in {409, 412}, answer.text
            outcome = "refused"
        self._operations.append(Operation("write", start, end, outcome, keys, token, seen, expected))
        return answer is not None


def _entry(key: str, token: str, before: int | None) -> Json:
    request = {"method": "PUT", "url": f"Patient/{key}"}
    if before:
        request["ifMatch"] = f'W/"{before}"'
    return {"resource": resource(key, token), "request": request}


async def histories(http: httpx.AsyncClient, keys: Sequence[str] = KEYS) -> dict[str, list[Kept]]:
    """All versions of ``keys`` that the server has, oldest first."""
    found: dict[str, list[Kept]] = {}
    for key in keys:
        found[key] = []
        url: str | None = f"Patient/{key}/_history?_count=500"
        while url is not None:
            answer = await http.get(url)
            if answer.status_code == 404:
                break
            assert answer.status_code == 200, answer.text
            bundle = answer.json()
            found[key] += [kept(each["resource"]) for each in bundle.get("entry", ())]
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        found[key].reverse()
    return found
