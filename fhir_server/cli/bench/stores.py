"""Where the benchmark's servers keep their data: a new store for each data set, gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from pymongo import MongoClient

Stores = Callable[[Path, str], AbstractContextManager[str]]
"""From the folder of the run and the name of a data set: the URL of an empty store."""


@contextmanager
def sqlite_file(folder: Path, name: str) -> Iterator[str]:
    """A file in the folder, which goes with it."""
    yield f"sqlite:///{folder / name}.db"


def mongo_databases(url: str) -> Stores:
    """Databases of the MongoDB at ``url``, whose own database is left alone."""

    @contextmanager
    def database(folder: Path, name: str) -> Iterator[str]:
        name = f"fhir_bench_{name}_{uuid4().hex[:8]}"
        try:
            yield urlsplit(url)._replace(path=f"/{name}").geturl()
        finally:
            with MongoClient[dict[str, object]](url) as client:
                client.drop_database(name)

    return database
