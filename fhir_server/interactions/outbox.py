"""What is to be done about writes, after they were made: the log of all writes is read on by whoever does it.

Each reader has a name and, in the store, the place up to which everything is done. One server at a time reads under a
name. The place moves in the transaction that keeps what became of the writes, so that each is dealt with once::

    outbox = Outbox(store, now, "notifications", owner)
    while True:
        if not await outbox.take():
            await asyncio.sleep(2)  # another server reads
        elif writes := await outbox.following(5):
            async with store.transaction() as transaction:
                await outbox.done(transaction, writes[-1].sequence)  # first: another server may have been faster
                …
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from fhir_server.interactions.lease import Lease
from fhir_server.store import Record, Store, Transaction, put_alone

TYPE: Final = "_Reader"
INTERNAL: Final = "_"
"""What the types of the server's own records begin with: nobody is told of them."""
AT_ONCE: Final = 200


class _Place(msgspec.Struct, frozen=True):
    """``sequence``: up to it everything is done."""

    sequence: int


_decoder: Final = msgspec.json.Decoder(_Place)


class Outbox:
    """The writes as the reader called ``name`` sees them, on the server ``owner``."""

    def __init__(self, store: Store, now: Callable[[], datetime], name: str, owner: str) -> None:
        self._store = store
        self._now = now
        self._name = name
        self._lease = Lease(store, now, f"outbox-{name}", owner)
        self._nothing_up_to = 0

    async def take(self) -> bool:
        """Be the one who reads for the next ten seconds; False when another server is."""
        return await self._lease.take()

    async def give_up(self) -> None:
        """Let another server read at once."""
        await self._lease.give_up()

    async def following(self, seconds: float) -> list[Record]:
        """The next writes, in their order; none when there were none in so many ``seconds``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        after = max(_place(await self._store.read(TYPE, self._name)), self._nothing_up_to)
        while True:
            reached = await self._store.wait(after, max(0.0, deadline - loop.time()))
            if reached <= after:
                return []
            found = await self._store.changes(after, AT_ONCE)
            told = [each for each in found if not each.type.startswith(INTERNAL)]
            if told:
                return told
            after = found[-1].sequence if found else reached
            self._nothing_up_to = after

    async def done(self, transaction: Transaction, sequence: int) -> None:
        """Up to ``sequence`` everything is done when ``transaction`` is committed.

        Raises LeaseLost when another server reads now; then nothing of the transaction may be kept.
        """
        await self._lease.require(transaction)
        before = await transaction.read(TYPE, self._name)
        if sequence > _place(before):
            moment = round(self._now().timestamp() * 1_000_000)
            content = msgspec.json.encode(_Place(sequence))
            await put_alone(transaction, before, TYPE, self._name, content, moment)


def _place(record: Record | None) -> int:
    return 0 if record is None else _decoder.decode(record.content).sequence
