"""What a question sees of the database: the same calls inside a transaction and outside.

Outside, each call sees what is committed when it is made, and two calls may see different states; whoever needs one
state asks for what has not changed since a sequence (see ``documents``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fhir_server.stores.mongo.connection import LARGE, Connection, Document

Command = dict[str, Any]
Sort = Mapping[str, int]


class Ask(Protocol):
    """Sends a command that reads."""

    async def __call__(self, command: Command, *, snapshot: bool = False) -> list[Document]:
        """All documents that it gives; ``snapshot``: all its collections in one state."""


class View:
    """Reads through ``ask``. ``is_committed`` is False inside a transaction: what it shows may be undone, so nothing of
    it may be remembered. All calls raise StoreUnavailable."""

    def __init__(self, ask: Ask, *, is_committed: bool) -> None:
        self._ask = ask
        self.is_committed = is_committed

    async def find(
        self,
        collection: str,
        filter: Mapping[str, Any],
        *,
        projection: Mapping[str, Any] | None = None,
        sort: Sort | None = None,
        limit: int = 0,
        hint: str | None = None,
    ) -> list[Document]:
        """The documents that match; ``sort`` is field → 1 or -1, ``limit`` 0 means all, ``hint`` names an index."""
        command: Command = {"find": collection, "filter": filter, "batchSize": limit or LARGE}
        if projection:
            command["projection"] = projection
        if sort:
            command["sort"] = sort
        if limit:
            command["limit"] = limit
        if hint:
            command["hint"] = hint
        return await self._ask(command)

    async def aggregate(
        self,
        collection: str,
        pipeline: Sequence[Mapping[str, Any]],
        *,
        hint: str | None = None,
        snapshot: bool = False,
    ) -> list[Document]:
        """What the pipeline gives; ``snapshot``: all its collections are to be seen in one state."""
        command: Command = {"aggregate": collection, "pipeline": pipeline, "cursor": {"batchSize": LARGE}}
        if hint:
            command["hint"] = hint
        return await self._ask(command, snapshot=snapshot)

    async def count(
        self, collection: str, filter: Mapping[str, Any], *, limit: int = 0, hint: str | None = None
    ) -> int:
        """How many documents match, counted no further than ``limit`` (0: all)."""
        pipeline: list[Mapping[str, Any]] = [{"$match": filter}]
        if limit:
            pipeline.append({"$limit": limit})
        found = await self.aggregate(collection, [*pipeline, {"$count": "count"}], hint=hint)
        count: int = found[0]["count"] if found else 0
        return count


def committed_view(connection: Connection) -> View:
    """What everybody sees."""
    return View(connection.ask, is_committed=True)
