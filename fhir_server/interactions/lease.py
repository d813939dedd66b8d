"""Which of several servers on one store does a job: a lease, kept in the store, that ends unless it is renewed.

Whoever works under it asks for it again in each transaction of the work (``require``), so a server that was held up
longer than its lease lasts does nothing more. The servers' clocks must agree within a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from fhir_server.errors import Conflict
from fhir_server.store import Record, Store, Transaction, put_alone

TYPE: Final = "_Lease"
LASTS: Final = 10_000_000
"""Microseconds."""
RENEWED_AFTER: Final = 3_000_000


class LeaseLost(Conflict):
    """Another server has the lease now."""


class _Held(msgspec.Struct, frozen=True):
    """``owner`` has it until ``until``, microseconds since 1970 UTC."""

    owner: str
    until: int


_decoder: Final = msgspec.json.Decoder(_Held)


class Lease:
    """The lease called ``name``, as ``owner`` sees it."""

    def __init__(self, store: Store, now: Callable[[], datetime], name: str, owner: str) -> None:
        self._store = store
        self._now = now
        self._name = name
        self._owner = owner

    async def take(self) -> bool:
        """Take or renew it; False when another one has it."""
        async with self._store.transaction() as transaction:
            record, held = await self._read(transaction)
            if held is not None and held.owner != self._owner and held.until > self._moment():
                return False
            await self._write(transaction, record, self._moment() + LASTS)
        return True

    async def require(self, transaction: Transaction) -> None:
        """Go on only as the owner; renews the lease when it is time. Raises LeaseLost when another one has it."""
        record, held = await self._read(transaction)
        if held is None or held.owner != self._owner:
            raise LeaseLost("another server does this work now")
        if held.until - self._moment() < LASTS - RENEWED_AFTER:
            await self._write(transaction, record, self._moment() + LASTS)

    async def give_up(self) -> None:
        """Let another one have it at once."""
        async with self._store.transaction() as transaction:
            record, held = await self._read(transaction)
            if held is not None and held.owner == self._owner:
                await self._write(transaction, record, 0)

    async def _read(self, transaction: Transaction) -> tuple[Record | None, _Held | None]:
        record = await transaction.read(TYPE, self._name)
        return record, None if record is None else _decoder.decode(record.content)

    async def _write(self, transaction: Transaction, before: Record | None, until: int) -> None:
        content = msgspec.json.encode(_Held(self._owner, until))
        await put_alone(transaction, before, TYPE, self._name, content, self._moment())

    def _moment(self) -> int:
        return round(self._now().timestamp() * 1_000_000)
