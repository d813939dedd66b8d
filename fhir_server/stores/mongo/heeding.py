"""What other servers put in force is known here before anything more is written.

``state`` counts the groups that wrote something of the types that servers heed. A group looks at the count when it
begins, and from then on no other can commit: when somebody else has written such a thing, notice is taken of it
first. What members have gathered by then was indexed by the old rules, and is indexed again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from pymongo.errors import PyMongoError

from fhir_server.errors import StoreUnavailable
from fhir_server.stores.mongo.batch import Extract, Write
from fhir_server.stores.mongo.faults import SOON
from fhir_server.stores.mongo.view import View

Act = Callable[[View], Awaitable[None]]


class Heeding:
    """What one process heeds. ``noticed``: how often it has taken notice."""

    def __init__(self, extract: Extract) -> None:
        self.noticed = 0
        self._extract = extract
        self._types: frozenset[str] | None = None
        self._act: Act | None = None
        self._known = 0

    def heed(self, types: Iterable[str], act: Act, known: int) -> None:
        """From now on call ``act`` when another server has written something of ``types``; ``known``: the count that
        the state has now."""
        self._types, self._act, self._known = frozenset(types), act, known

    async def notice(self, count: int, view: View) -> None:
        """The state's count is ``count``, and ``view`` sees what it counts. Raises StoreUnavailable, PyMongoError."""
        if self._act is None or count == self._known:
            return
        try:
            await self._act(view)
        except (StoreUnavailable, PyMongoError):
            raise
        except Exception as error:
            raise StoreUnavailable(
                "what another server has put in force cannot be read: send again", headers=SOON
            ) from error
        self._known = count
        self.noticed += 1

    def is_heeded(self, type: str) -> bool:
        """Whether others have to know of what is written of ``type``. A program that was not told what servers heed
        makes them look after all that it writes."""
        return self._types is None or type in self._types

    def count(self, more: int) -> None:
        """This process itself has raised the count, which it knew."""
        self._known += more

    def index_again(self, writes: Iterable[Write]) -> None:
        """By the rules that are in force now."""
        for write in writes:
            if not write.record.deleted:
                write.index(self._extract(write.record.type, write.record.content))
