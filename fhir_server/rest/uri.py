"""Path and query decoding that refuses what it cannot read, instead of replacing it.

Source: RFC 3986; HTML form encoding for ``+`` in queries.
"""

from __future__ import annotations

from functools import lru_cache
from string import hexdigits
from typing import Final

from fhir_server.errors import InvalidContent

Pairs = tuple[tuple[str, str], ...]
SHORT: Final = 512
"""Bytes of a query that is worth remembering: inboxes are polled with the same one."""

_BYTES = {high + low: bytes.fromhex(high + low) for high in hexdigits for low in hexdigits}
"""Two hexadecimal digits → the byte they stand for."""


def decode(text: str, where: str) -> str:
    """``text`` with its percent escapes read as UTF-8. Raises InvalidContent naming ``where``."""
    first, *escaped = text.split("%")
    parts = [first.encode()]
    for piece in escaped:
        byte = _BYTES.get(piece[:2])
        if byte is None:
            raise InvalidContent(
                f"{where}: '%' must be followed by two hexadecimal digits (a '%' itself is %25)"
            )
        parts.append(byte + piece[2:].encode())
    try:
        return b"".join(parts).decode()
    except UnicodeDecodeError as error:
        raise InvalidContent(
            f"{where}: byte {error.start} of the decoded text is not UTF-8; "
            "percent-encode UTF-8, not GBK or GB18030"
        ) from error


def split_path(raw: bytes) -> list[str]:
    """The decoded segments of a path that begins with ``/``, one trailing slash ignored."""
    text = raw.decode("ascii", "strict") if raw.isascii() else _refuse_raw("the path")
    segments = text.strip("/").split("/") if text != "/" else []
    if "%" in text:
        segments = [decode(segment, "the path") for segment in segments]
    return [] if segments == [""] else segments


def split_query(raw: bytes, where: str = "the query") -> Pairs:
    """The ``name=value`` pairs of a query or a form, in order, pieces without a name left out."""
    return _split_short(raw, where) if len(raw) <= SHORT else _split(raw, where)


def _split(raw: bytes, where: str) -> Pairs:
    if not raw:
        return ()
    text = raw.decode("ascii") if raw.isascii() else _refuse_raw(where)
    pairs = []
    for piece in text.split("&"):
        name, _, value = piece.partition("=")
        if name:
            pairs.append((_plain(name, where), _plain(value, where)))
    return tuple(pairs)


_split_short = lru_cache(maxsize=2048)(_split)


def _plain(text: str, where: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return decode(text, where) if "%" in text else text


def _refuse_raw(where: str) -> str:
    raise InvalidContent(f"{where}: characters beyond ASCII must be percent-encoded UTF-8")
