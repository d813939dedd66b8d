"""One version of one resource as a line of JSON: how backups keep it, and what hashes are made of.

::

    {"sequence":7,"number":3,"type":"Patient","id":"p1","version":2,"updated":1700000000000000,"method":"PUT",
     "resource":{"resourceType":"Patient",…}}

``resource`` has the bytes that were stored. Where these would not survive as a part of a line (a line break between
two members), ``text`` has them as a JSON string instead. A deletion has neither.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fhir_server.errors import InvalidContent
from fhir_server.store import Record

_NOTHING: Final = msgspec.Raw()


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """The members of a line: those of ``store.Record``."""

    sequence: int
    number: int
    type: str
    id: str
    version: int
    updated: int
    method: str
    resource: msgspec.Raw = _NOTHING
    text: str | None = None


_encode = msgspec.json.Encoder(enc_hook=int).encode  # a store's integers may be of a class of their own
_decode = msgspec.json.Decoder(Line).decode


def write_line(record: Record) -> bytes:
    """The line of ``record``, with the line break at its end."""
    content = record.content
    resource, text = _NOTHING, None
    if content[:1] == b"{" and content[-1:] == b"}" and b"\n" not in content:
        resource = msgspec.Raw(content)
    elif content:
        text = content.decode()
    return _encode(
        Line(
            record.sequence,
            record.number,
            record.type,
            record.id,
            record.version,
            record.updated,
            record.method,
            resource,
            text,
        )
    ) + b"\n"  # fmt: skip


def read_line(line: bytes) -> Record:
    """The record of ``line``. Raises InvalidContent."""
    try:
        read = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidContent(f"a line of the backup cannot be read: {error}") from error
    content = bytes(read.resource) if read.text is None else read.text.encode()
    return Record(
        read.type, read.id, read.version, read.updated, read.method, content, read.sequence, read.number
    )
