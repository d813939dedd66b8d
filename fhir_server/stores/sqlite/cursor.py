"""Positions in a result, as an opaque text with a checksum. Only the store makes and reads them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from fhir_server.errors import InvalidSearch

_CHECK = 6


def write_cursor(context: str, position: Sequence[Any]) -> str:
    """The cursor of ``position`` in the result that ``context`` names."""
    body = msgspec.msgpack.encode(position)
    return base64.urlsafe_b64encode(_check(context, body) + body).decode().rstrip("=")


def read_cursor(context: str, cursor: str) -> list[Any]:
    """The position in ``cursor``. Raises InvalidSearch when it was not made for ``context`` by ``write_cursor``."""
    try:
        text = cursor.encode("ascii")
        packed = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        packed = b""
    check, body = packed[:_CHECK], packed[_CHECK:]
    if not body or check != _check(context, body):
        raise InvalidSearch(
            "the page link is damaged or belongs to another search: start again from the first page"
        )
    position: list[Any] = msgspec.msgpack.decode(body)
    return position


def _check(context: str, body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECK, key=context.encode()[:64]).digest()
