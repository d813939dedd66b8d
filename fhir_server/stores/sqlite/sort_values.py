"""Sort values of tokens, references and uris: no index has them by resource, so they are taken from its content.

Offered to SQLite as the function ``sort_value(content, key)``; ``key`` is what ``describe`` makes of a sort key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from fhir_server.search.index import IndexValues
from fhir_server.search.match import Indexed
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.query import SortKey
from fhir_server.search.sorting import sort_value
from fhir_server.stores.blobs import Blobs

Extract = Callable[[str, bytes], IndexValues]


def describe(key: SortKey) -> str:
    """What the function must know of ``key``, as JSON."""
    parameter = key.parameter
    said = [
        parameter.type,
        parameter.kind,
        parameter.keys,
        parameter.target,
        parameter.system,
        key.descending,
    ]
    return orjson.dumps(said).decode()


@lru_cache(maxsize=256)
def _described(text: str) -> SortKey:
    type, kind, keys, target, system, descending = orjson.loads(text)
    parameter = SearchParameter(type, "", kind, "", "", tuple(keys), target=target, system=system)
    return SortKey(parameter, descending)


def offer_sort_values(connection: sqlite3.Connection, extract: Extract) -> sqlite3.Connection:
    """``connection``, which knows the function from now on."""
    blobs = Blobs()

    def value(content: bytes, described: str) -> Any:
        key = _described(described)
        type = key.parameter.type
        return sort_value(key, Indexed(type, "", 0, extract(type, blobs.decompress(content))))

    connection.create_function("sort_value", 2, value, deterministic=True)
    return connection
