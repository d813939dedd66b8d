"""The engine behind a store URL: ``sqlite:///path`` or ``mongodb://…/database``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from fhir_server.search.index import IndexValues
from fhir_server.search.unfinished import Unfinished
from fhir_server.store import Reading, Store
from fhir_server.stores.sqlite.store import SqliteStore

ALLOWED: Final = "sqlite:///path or mongodb://[user:password@]host[:port][,host…]/database?replicaSet=name"
MONGO: Final = frozenset({"mongodb", "mongodb+srv"})


class Engine(Store, Protocol):
    """A store with what its opener needs of it."""

    drift: tuple[str, ...]
    """In what the database differs from what the program declares, for the log."""

    def index_by(self, fingerprint: str) -> int | None:
        """Index everything anew, unless its rows were made by the rules that ``fingerprint`` names (None): how many
        resources. To be called before the store is used. Raises StoreUnavailable."""


@runtime_checkable
class Heeding(Protocol):
    """An engine that knows, before it writes anything, what other servers have written."""

    def heed(self, types: Sequence[str], act: Callable[[Reading], Awaitable[None]]) -> None:
        """From now on call ``act`` when another server has written a record of one of ``types``: before anything that
        is written here comes after it in the order of all writes. What is written then is indexed by what ``extract``
        gives after ``act``."""


def open_store(
    url: str,
    *,
    extract: Callable[[str, bytes], IndexValues],
    durability: str,
    unfinished: Unfinished,
    folder: Path | None = None,
) -> Engine:
    """Open the store at ``url``; ``folder``: other processes on this machine, which know it too, use the same store.

    Raises ValueError for a URL that no engine here can open, and StoreUnavailable; no message has a password in it.
    """
    if _scheme(url) in MONGO:
        from fhir_server.stores.mongo.store import MongoStore

        return MongoStore.open(url, extract=extract, unfinished=unfinished)
    store = SqliteStore.open(_path(url), extract=extract, durability=durability, unfinished=unfinished)
    if folder is not None:
        store.share(folder)
    return store


def reach(url: str) -> None:
    """Raise StoreUnavailable when the database of ``url`` cannot even be reached. May take seconds."""
    if _scheme(url) in MONGO:
        from fhir_server.stores.mongo.store import MongoStore

        MongoStore.reach(url)


def is_shared(url: str) -> bool:
    """True when servers on other machines may use the store of ``url`` too."""
    return _scheme(url) in MONGO


def is_in_use(url: str) -> bool:
    """True when a program has the file of ``url`` open: a server, most likely. A MongoDB store is made to be shared,
    and nothing tells who uses it."""
    return _scheme(url) not in MONGO and SqliteStore.is_in_use(_path(url))


def _scheme(url: str) -> str:
    return url.partition("://")[0]


def _path(url: str) -> Path:
    scheme, found, place = url.partition("://")
    if scheme != "sqlite" or not found:
        shown = f"{scheme}://…" if found else url
        raise ValueError(f"FHIR_STORE={shown} cannot be opened; allowed: {ALLOWED}")
    return Path(place.removeprefix("/"))
