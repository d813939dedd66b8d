"""From the schema of an older program to that of this one. Indexes, collections and validators need no step: ``setup``
makes them like the declaration whenever a store is opened.

MongoDB has no transaction over a whole collection, so a step must bear being begun again: whoever is killed in one
finds the version before it, and two servers may take it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple


class Migration(NamedTuple):
    """The step to ``version``: ``change`` is given the database (of a client that is not asynchronous). With
    ``is_indexed_again`` index values are made anew, and servers of older versions cannot write any more."""

    version: int
    change: Callable[[Any], None]
    is_indexed_again: bool = False


MIGRATIONS: Final[list[Migration]] = []
"""One for each version after the first up to ``documents.SCHEMA``, in order. None so far."""


def migrate(database: Any, schema: int) -> None:
    """Take every step that a store of version ``schema`` lacks. Raises PyMongoError, leaving those that were taken."""
    for migration in MIGRATIONS:
        if schema < migration.version:
            migration.change(database)
            done: dict[str, Any] = {"schema": migration.version}
            if migration.is_indexed_again:
                done["index"] = ""
            before = {"_id": "store", "schema": migration.version - 1}
            database.state.update_one(before, {"$set": done, "$inc": {"g": 1}})
