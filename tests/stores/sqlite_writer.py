"""The program that test_sqlite_kill.py kills: eight tasks write as fast as they can and print what is acknowledged.

A ninth searches texts all the time, so that their index is brought up to date between the writes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fhir_server.search.index import NARRATIVE, IndexValues, TextRow, TokenRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.query import Clause, Query, TextValue
from fhir_server.store import Record
from fhir_server.stores.sqlite.store import SqliteStore


def extract(type: str, content: bytes) -> IndexValues:
    """Found by the transaction that wrote it; the counter is not found."""
    data = json.loads(content)
    if data["id"] == "counter":
        return IndexValues()
    texts = [TextRow(NARRATIVE, ("everybody", data["id"]))]
    return IndexValues(tokens=[TokenRow(1, data["transaction"], "")], texts=lambda: texts)


TEXT = SearchParameter("Patient", "_text", "string", "", "", (NARRATIVE,), column="text")
EVERYBODY = Query("Patient", (Clause(TEXT, "text", (TextValue(("everybody",), False),)),))
"""What has a text: all but the counter."""


async def write(store: SqliteStore, name: str) -> None:
    """Two new resources and the next version of the counter they all share."""
    async with store.transaction() as transaction:
        counter = await transaction.read("Patient", "counter")
        version = counter.version + 1 if counter else 1
        for id, number in ((f"{name}-a", 1), ("counter", version), (f"{name}-b", 1)):
            content = json.dumps({"id": id, "transaction": name, "padding": "x" * 500}).encode()
            await transaction.put(
                Record("Patient", id, number, 1, "PUT", content), extract("Patient", content)
            )


async def main(path: str, run: str) -> None:
    store = SqliteStore.open(path, extract=extract)
    numbers = itertools.count()
    os.write(1, b"ready\n")

    async def work() -> None:
        while True:
            name = f"{run}-{next(numbers)}"
            await write(store, name)
            os.write(1, f"{name}\n".encode())

    async def search() -> None:
        while True:
            await store.count(EVERYBODY)
            await asyncio.sleep(0)

    await asyncio.gather(search(), *(work() for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
