"""Can a kept version be read, and is it what it should be? The same in every engine."""

from __future__ import annotations

from typing import Final

import orjson
import zstandard

from fhir_server.stores.blobs import Blobs

RESTORE: Final = "restore the store from a backup"
"""What to do about what only a backup has."""


def place_of(type: str, id: str) -> str:
    """For people; ids of the server's own records say nothing to them."""
    return type if type[0] == "_" else f"{type}/{id}"


def content_fault(type: str, id: str, version: int, blob: bytes, blobs: Blobs, *, is_deleted: bool) -> str:
    """What is wrong with the content of a version, "" when nothing is."""
    try:
        content = blobs.decompress(blob)
    except zstandard.ZstdError:
        return "its content cannot be unpacked"
    if is_deleted:
        return "a deletion has content" if content else ""
    try:
        data = orjson.loads(content)
    except orjson.JSONDecodeError:
        return "its content is not JSON"
    return "" if type[0] == "_" else _other(data, type, id, version)


def _other(data: object, type: str, id: str, version: int) -> str:
    if not isinstance(data, dict) or (data.get("resourceType"), data.get("id")) != (type, id):
        return "its content is that of another resource"
    said = data.get("meta", {}).get("versionId")
    return "its content is that of another version" if said not in {None, str(version)} else ""
