"""What a question sees of the database: the same calls inside a transaction and outside.

Outside, each call sees what is committed when it is made, and two calls may see different states; whoever needs one
state asks a ``steady`` view, or for what has not changed since a sequence (see ``documents``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fhir_server.stores.mongo.connection import LARGE, Clock, Connection, Document

Command = dict[str, Any]
Sort = Mapping[str, int]


Ask = Callable[[Command], Awaitable[list[Document]]]
"""Sends a command that reads: all documents that it gives."""


class View:
    """Reads through ``ask``. ``is_committed`` is False inside a transaction: what it shows may be undone, so nothing of
    it may be remembered. All calls raise StoreUnavailable."""

    def __init__(self, ask: Ask, *, is_committed: bool, steady: Callable[[], View] | None = None) -> None:
        self.ask = ask
        self._steady = steady
        self.is_committed = is_committed

    def steady(self) -> View:
        """A view whose calls, one after the other, all see one state; inside a transaction they do anyway."""
        return self._steady() if self._steady is not None else self

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
        return await self.ask(command)

    async def aggregate(
        self,
        collection: str,
        pipeline: Sequence[Mapping[str, Any]],
        *,
        hint: str | None = None,
    ) -> list[Document]:
        """What the pipeline gives; of several collections only in a steady view what they were at one time."""
        command: Command = {"aggregate": collection, "pipeline": pipeline, "cursor": {"batchSize": LARGE}}
        if hint:
            command["hint"] = hint
        return await self.ask(command)

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

    def steady() -> View:
        clock = Clock()
        return View(lambda command: connection.ask(command, clock=clock), is_committed=True)

    return View(connection.ask, is_committed=True, steady=steady)
