"""Where a page of a whole record begins, as an opaque text with a checksum: good after a restart, too.

Source: FHIR R4 http.html#paging.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import blake2b
from typing import Annotated

import msgspec

from fhir_server.errors import InvalidSearch

_CHECK = 6
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """After the member with this ``number`` and ``name`` (``Type/id``), or after the supporting resource of this name.

    ``moment`` is that of the first page, None on it.
    """

    supporting: bool = False
    number: Number = 0
    name: str = ""
    moment: tuple[Number, Number] | None = None


_decoder = msgspec.msgpack.Decoder(Mark)


def write_mark(context: bytes, mark: Mark, moment: tuple[int, int] | None) -> str:
    """``mark`` of a page that shows ``moment``, for the call that ``context`` names."""
    body = msgspec.msgpack.encode(msgspec.structs.replace(mark, moment=moment))
    return base64.urlsafe_b64encode(_check(context, body) + body).decode().rstrip("=")


def read_mark(context: bytes, text: str) -> Mark:
    """The mark in ``text``. Raises InvalidSearch when it was not made for ``context`` by ``write_mark``."""
    try:
        packed = base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
        body = packed[_CHECK:]
        if packed[:_CHECK] != _check(context, body):
            raise ValueError
        return _decoder.decode(body)
    except (UnicodeEncodeError, binascii.Error, ValueError) as error:
        raise InvalidSearch(
            "the page link is damaged or belongs to another call: start again from the first page",
            expression="http._cursor",
        ) from error


def _check(context: bytes, body: bytes) -> bytes:
    return blake2b(b"%d %b%b" % (len(context), context, body), digest_size=_CHECK).digest()
