"""A moment in the life of the store, and what a search of that moment needs to know.

Pages after the first one show what the first one would have shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fhir_server.search.query import Chain, Has
from fhir_server.stores.mongo.conditions.parts import Test
from fhir_server.stores.mongo.view import View


class Moment(NamedTuple):
    """After the write ``sequence`` and before the next; ``number`` is the greatest of a resource then."""

    sequence: int
    number: int

    @property
    def unchanged(self) -> Test:
        """True of a resource that was there then and has not changed since; so said that no index is used for it."""
        return Test({"$nor": [{"s": {"$gt": self.sequence}}]})


class Then(Protocol):
    """What changed after ``moment``, in the versions that it had then: see ``past.Past``."""

    moment: Moment

    async def ids(self, relation: Chain) -> Sequence[str]:
        """The ids of changed resources that a chain led to."""

    async def targets(self, relation: Has, type: str) -> Sequence[str]:
        """The ids of resources of ``type`` that changed resources, which ``_has`` asks for, referred to."""


async def moment_of(view: View) -> Moment:
    """What ``view`` sees now."""
    state = await view.find("state", {"_id": "store"}, projection={"s": 1, "n": 1}, limit=1)
    return Moment(int(state[0]["s"]), int(state[0]["n"]))
