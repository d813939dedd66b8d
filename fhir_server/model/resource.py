"""A resource in flight: the client's own bytes and their parsed form, side by side.

The bytes are what is stored and served (``1.00`` stays ``1.00``, the order of members stays);
the parsed form is what validation, indexing and rules read.
Source: FHIR R4 json.html; resource.html#Meta.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import orjson

from fhir_server.errors import InvalidContent

Json = dict[str, Any]
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Resource:
    """One resource: ``raw`` (UTF-8 JSON bytes) and ``data`` (the same, parsed).

    Treat both as read-only; a change makes a new ``Resource``. Numbers in ``data`` are floats;
    who must keep a decimal's text works on ``raw`` (see ``model.exact``).
    """

    __slots__ = ("data", "raw")

    def __init__(self, raw: bytes, data: Json) -> None:
        self.raw = raw
        self.data = data

    @classmethod
    def parse(cls, raw: bytes) -> Resource:
        """Read ``raw``. Raises InvalidContent when it is not a JSON object with a resourceType."""
        try:
            data = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise InvalidContent(f"the body is not JSON: {error}") from error
        if not isinstance(data, dict) or not isinstance(data.get("resourceType"), str):
            raise InvalidContent("the body is not a resource: a JSON object with a resourceType is expected")
        return cls(raw, data)

    @classmethod
    def of(cls, data: Json) -> Resource:
        """A resource that the server itself made."""
        return cls(orjson.dumps(data), data)

    @property
    def type(self) -> str:
        """The resourceType."""
        kind: str = self.data["resourceType"]
        return kind

    @property
    def id(self) -> str | None:
        """The logical id, if it has one."""
        return self.data.get("id")

    def stamped(self, id: str, version: int, updated: int) -> Resource:
        """The resource as it is kept: same bytes, with ``id``, ``meta.versionId`` and ``meta.lastUpdated`` set.

        ``updated`` is in microseconds since 1970 UTC. The rest of ``meta`` stays as sent.
        """
        members = _members.decode(self.raw)
        meta = _members.decode(members["meta"]) if "meta" in members else {}
        stamp = instant(updated)
        members.pop("id", None)
        head = {
            "resourceType": members.pop("resourceType"),
            "id": msgspec.Raw(orjson.dumps(id)),
            "meta": meta | {"versionId": msgspec.Raw(b'"%d"' % version), "lastUpdated": msgspec.Raw(b'"%b"' % stamp.encode())},
        }
        members.pop("meta", None)
        raw = msgspec.json.encode(head | members)
        data = {"resourceType": self.type, "id": id}
        data["meta"] = {**self.data.get("meta", {}), "versionId": str(version), "lastUpdated": stamp}
        return Resource(raw, data | {k: v for k, v in self.data.items() if k not in data})


def instant(microseconds: int) -> str:
    """An R4 ``instant`` in UTC with milliseconds: ``2026-03-02T01:12:00.000Z``."""
    moment = datetime.utcfromtimestamp(microseconds // 1_000_000)
    return f"{moment.isoformat()}.{microseconds // 1000 % 1000:03d}Z"
