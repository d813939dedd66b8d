"""Failed logins of clients, counted by all servers of a store together.

Each process counts for itself (``throttle``) and, for clients that exist, tells the others through the store: one
record per client, the addresses that failed and until when each has to wait. Names that no client has can never
succeed, and would let anybody fill the store: they are counted in the process only. The record is written after the
answer, so that the time of an answer does not tell which names exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from fhir_server.errors import FhirError
from fhir_server.security.clients import can_be_client, current_client
from fhir_server.security.throttle import Backoff, require_over, wait_after
from fhir_server.store import Record, Store, put_alone

TYPE: Final = "_Failures"
MOST_ADDRESSES: Final = 100
"""Kept of one client; the one that failed longest ago is forgotten first."""
FORGOTTEN_AFTER: Final = 3600.0
"""Seconds after the end of a wait."""
MOST_UNTOLD: Final = 100
"""Failures on their way into the store; more are counted in the process only."""


class Attempt(NamedTuple):
    """Who says to be ``client``, and from where."""

    client: str
    address: str


class _Tally(msgspec.Struct, frozen=True):
    """So many ``failures`` in a row; the next attempt is allowed at ``until``, seconds since 1970 UTC."""

    failures: int
    until: float


_Tallies = dict[str, _Tally]
_decoder: Final = msgspec.json.Decoder(_Tallies)


class SharedBackoff:
    """See ``throttle.Backoff``."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._own = Backoff(now)
        self._telling: set[asyncio.Task[None]] = set()

    async def check(self, attempt: Attempt) -> None:
        """Raises Throttled while this has to wait, StoreUnavailable."""
        self._own.check(attempt)
        if not can_be_client(attempt.client):
            return
        tally = _tallies(await self._store.read(TYPE, attempt.client)).get(attempt.address)
        if tally is not None:
            require_over(tally.until - self._moment())

    async def failed(self, attempt: Attempt) -> None:
        """Note a failure; the others know of it a moment later."""
        self._own.failed(attempt)
        if len(self._telling) < MOST_UNTOLD and can_be_client(attempt.client):
            task = asyncio.get_running_loop().create_task(self._tell(attempt))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def succeeded(self, attempt: Attempt) -> None:
        """Forget the failures."""
        self._own.succeeded(attempt)
        if attempt.address in _tallies(await self._store.read(TYPE, attempt.client)):
            with suppress(FhirError):  # who is right gets his token, whatever becomes of the count
                await self._change(attempt, lambda tally: None)

    async def close(self) -> None:
        """Finish what is under way."""
        await asyncio.gather(*self._telling)

    async def _tell(self, attempt: Attempt) -> None:
        with suppress(FhirError):  # counted here all the same
            if await current_client(self._store, attempt.client) is not None:
                await self._change(attempt, self._next)

    def _next(self, tally: _Tally | None) -> _Tally:
        failures = tally.failures + 1 if tally else 1
        return _Tally(failures, self._moment() + wait_after(failures))

    async def _change(self, attempt: Attempt, change: Callable[[_Tally | None], _Tally | None]) -> None:
        async with self._store.transaction() as transaction:
            before = await transaction.read(TYPE, attempt.client)
            tallies = _tallies(before)
            changed = change(tallies.pop(attempt.address, None))
            if changed is not None:
                tallies[attempt.address] = changed
            kept = self._kept(tallies)
            content, moment = msgspec.json.encode(kept), round(self._moment() * 1_000_000)
            await put_alone(transaction, before, TYPE, attempt.client, content, moment)

    def _kept(self, tallies: _Tallies) -> _Tallies:
        """Those that still count, the latest MOST_ADDRESSES."""
        oldest = self._moment() - FORGOTTEN_AFTER
        fresh = {address: tally for address, tally in tallies.items() if tally.until > oldest}
        return dict(list(fresh.items())[-MOST_ADDRESSES:])

    def _moment(self) -> float:
        return self._now().timestamp()


def _tallies(record: Record | None) -> _Tallies:
    return _decoder.decode(record.content) if record is not None and not record.deleted else {}
