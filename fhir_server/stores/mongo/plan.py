"""A query, compiled: those tests that need nothing but the document come first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fhir_server.stores.mongo.conditions.parts import Filter, Stages
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.view import Sort, View


class Plan(NamedTuple):
    """``first`` is decided by the documents of ``type`` alone, ``second`` after ``stages``."""

    type: str
    first: Filter
    stages: Stages
    second: Filter
    depth: int

    @property
    def pipeline(self) -> list[Filter]:
        """The stages that let pass what satisfies the plan."""
        return [{"$match": self.first}, *self.rest]

    @property
    def rest(self) -> list[Filter]:
        """The stages after the first one."""
        return [*self.stages, {"$match": self.second}] if self.stages else []

    async def find(
        self, view: View, projection: Mapping[str, Any], *, sort: Sort | None = None, limit: int = 0
    ) -> list[Document]:
        """The documents that satisfy the plan."""
        if not self.stages:
            return await view.find("resource", self.first, projection=projection, sort=sort, limit=limit)
        stages: list[Filter] = [{"$match": self.first}]
        if sort:
            stages.append({"$sort": sort})
        stages += self.rest
        if limit:
            stages.append({"$limit": limit})
        return await view.aggregate("resource", [*stages, {"$project": projection}])

    async def total(self, view: View, most: int = 0) -> int:
        """How many there are, counted no further than ``most`` (0: all)."""
        if not self.stages:
            return await view.count("resource", self.first, limit=most)
        end: list[Filter] = [{"$limit": most}] if most else []
        found = await view.aggregate("resource", [*self.pipeline, *end, {"$count": "count"}])
        counted: int = found[0]["count"] if found else 0
        return counted
