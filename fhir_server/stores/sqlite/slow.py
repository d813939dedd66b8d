"""Searches that take long, in a thread of their own so that nobody else waits for them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from fhir_server.errors import InvalidSearch
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.memos import Memos
from fhir_server.stores.sqlite.past import Extract
from fhir_server.stores.sqlite.reader import Reader, TooSlow
from fhir_server.stores.sqlite.symbols import Symbols
from fhir_server.stores.sqlite.totals import Totals

T = TypeVar("T")
LONGEST: Final = 30.0
"""Seconds after which a search is stopped."""


class SlowReader:
    """One search at a time, with a connection that is opened when it is first needed."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        symbols: Symbols,
        extract: Extract,
        memos: Memos,
        totals: Totals,
    ) -> None:
        self._connect = connect
        self._symbols = symbols
        self._extract = extract
        self._memos = memos
        self._totals = totals
        self._thread = ThreadPoolExecutor(1, "fhir-slow-search")
        self._reader: Reader | None = None

    async def ask(self, question: Callable[[Reader], T]) -> T:
        """What ``question`` makes of the reader. Raises InvalidSearch when it takes longer than LONGEST: the thread is
        everybody's."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, lambda: question(self._open()))
        except TooSlow as error:
            raise InvalidSearch(
                f"the search was stopped after {LONGEST:.0f} seconds: ask for less, or for fewer values at once",
                code="too-costly",
            ) from error

    async def close(self) -> None:
        """Wait for what is running, then let go."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._reader is not None:
            self._reader.connection.close()

    def _open(self) -> Reader:
        if self._reader is None:
            self._reader = Reader(
                self._connect(),
                Blobs(),
                self._symbols,
                self._extract,
                self._memos,
                LONGEST,
                totals=self._totals,
            )
        return self._reader
