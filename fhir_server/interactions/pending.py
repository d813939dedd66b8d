"""What a transaction is still going to write, for the rules that look ahead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from fhir_server.model.resource import Json

Key = tuple[str, str]


class Pending(Mapping[Key, Json]):
    """Resources by (type, id), references resolved; kept as bytes, each parsed when a rule looks at it."""

    def __init__(self) -> None:
        self._raw: dict[Key, bytes] = {}

    def add(self, type: str, id: str, raw: bytes) -> None:
        """``raw`` is going to be written under ``id``."""
        self._raw[type, id] = raw

    def take(self, type: str, id: str) -> bytes | None:
        """The bytes, which are written now; None when none were added."""
        return self._raw.pop((type, id), None)

    def __getitem__(self, key: Key) -> Json:
        data: Json = orjson.loads(self._raw[key])
        return data

    def __iter__(self) -> Iterator[Key]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)
