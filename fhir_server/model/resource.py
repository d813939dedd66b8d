"""A resource in flight: the client's own bytes and their parsed form, side by side.

The bytes are what is stored and served (``1.00`` stays ``1.00``, the order of members stays);
the parsed form is what validation, indexing and rules read.
Source: FHIR R4 json.html; resource.html#Meta.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson

from fhir_server.errors import InvalidContent
from fhir_server.model.dates import instant

__all__ = ["Json", "Resource", "instant", "parse_json"]

Json = dict[str, Any]

MAX_DEPTH = 64
"""How deep objects and arrays may be nested; FHIR's deepest real content (Questionnaires) stays below 40."""

_TOO_DEEP = b"\n" + b"  " * (MAX_DEPTH + 1)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
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
        """Read ``raw``. Raises InvalidContent when it is not a JSON object with a resourceType.

        Refused as well, because readers would disagree about it: two members of one name in one object,
        nesting deeper than ``MAX_DEPTH``, invalid UTF-8, NaN, numbers beyond a double. A byte order mark is
        dropped.
        """
        raw = raw.removeprefix(_BYTE_ORDER_MARK)
        data = parse_json(raw)
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
        """The resource as it is kept: same bytes, with ``id`` and two members of ``meta`` set.

        These are ``meta.versionId`` and ``meta.lastUpdated``; ``updated`` is in microseconds since 1970 UTC.
        The rest of ``meta`` stays as sent.
        """
        members = _members.decode(self.raw)
        meta = _members.decode(members.pop("meta")) if "meta" in members else {}
        stamp = instant(updated)
        meta["versionId"] = msgspec.Raw(b'"%d"' % version)
        meta["lastUpdated"] = msgspec.Raw(b'"%b"' % stamp.encode())
        members.pop("id", None)
        raw = msgspec.json.encode(_after_type(members, {"id": id, "meta": meta}))
        rest = {name: value for name, value in self.data.items() if name not in {"id", "meta"}}
        kept = {**self.data.get("meta", {}), "versionId": str(version), "lastUpdated": stamp}
        return Resource(raw, _after_type(rest, {"id": id, "meta": kept}))


def _after_type(members: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
    """``members`` in their order, with ``head`` right after ``resourceType``."""
    before: dict[str, Any] = {}
    for name in tuple(members):
        before[name] = members.pop(name)
        if name == "resourceType":
            break
    return {**before, **head, **members}


def parse_json(raw: bytes) -> Any:
    """The value of ``raw``; raises InvalidContent for what is no JSON or is refused (see ``Resource.parse``).

    A double member is found by writing the value again: it would be lost, and a colon with it. Only when the
    numbers of colons differ, or an escape could hide one, every object is looked at in turn.
    """
    try:
        data = orjson.loads(raw)
        written = orjson.dumps(data, option=orjson.OPT_INDENT_2)
    except orjson.JSONDecodeError as error:
        raise InvalidContent(f"the body is not JSON: {error}") from error
    except TypeError as error:
        raise InvalidContent(_too_deep(), code="too-costly") from error
    if _TOO_DEEP in written:
        raise InvalidContent(_too_deep(), code="too-costly")
    if raw.count(b":") != written.count(b":") or (b"\\" in raw and b"\\u003" in raw):
        json.loads(raw, object_pairs_hook=_single)
    return data


def _too_deep() -> str:
    return (
        f"the body is nested too deeply: at most {MAX_DEPTH} objects and arrays may stand inside each other"
    )


def _single(pairs: list[tuple[str, Any]]) -> Json:
    """The object of ``pairs``. Raises InvalidContent naming a member that comes twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in found if names.count(name) > 1)
        raise InvalidContent(f"the member {double[:64]!r} comes twice in one object")
    return found
