"""Reads a request body within the limit, gzip included: no bomb gets past the first spare byte."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fhir_server.errors import InvalidContent, TooLarge, UnsupportedMedia

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
GZIP = 31
BOM = b"\xef\xbb\xbf"


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    """The whole body, decompressed. Raises TooLarge, UnsupportedMedia, InvalidContent or ClientGone."""
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding in {b"gzip", b"x-gzip"}:
        return await _read_gzip(receive, limit)
    if encoding not in {b"identity", b""}:
        raise UnsupportedMedia("this Content-Encoding cannot be read here; allowed: gzip, identity")
    return await _read_plain(receive, limit)


async def _read_plain(receive: Receive, limit: int) -> bytes:
    chunk, more = await _next_chunk(receive)
    if not more and len(chunk) <= limit:
        return chunk
    parts, size = [chunk], len(chunk)
    while more and size <= limit:
        chunk, more = await _next_chunk(receive)
        parts.append(chunk)
        size += len(chunk)
    if size > limit:
        raise _too_large(limit)
    return b"".join(parts)


async def _read_gzip(receive: Receive, limit: int) -> bytes:
    reader = _Gunzip(limit)
    more = True
    while more:
        chunk, more = await _next_chunk(receive)
        reader.feed(chunk)
    return reader.finish()


class _Gunzip:
    """A gzip stream (of one or several members), never inflated beyond the limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._out = bytearray()
        self._member = zlib.decompressobj(GZIP)
        self._begun = False

    def feed(self, chunk: bytes) -> None:
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(GZIP)
            self._begun = True
            try:
                self._out += self._member.decompress(chunk, self._limit + 1 - len(self._out))
            except zlib.error as error:
                raise InvalidContent("the body is not gzip, although Content-Encoding says so") from error
            if len(self._out) > self._limit:
                raise _too_large(self._limit)
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def finish(self) -> bytes:
        if self._begun and not self._member.eof:
            raise InvalidContent("the gzip body ends too early")
        return bytes(self._out)


async def _next_chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit} bytes (after decompression); FHIR_MAX_BODY sets this limit",
        headers={"Connection": "close"},
    )
