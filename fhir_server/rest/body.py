"""Reads a request body within the limit, gzip and zstd included: no bomb gets far past the first spare byte."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import zstandard

from fhir_server.errors import InvalidContent, TooLarge, UnsupportedMedia

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
GZIP = 31
ZSTD_STEP = 256
"""Bytes that are inflated at once: the smallest blocks of Zstandard make at most 8 MiB of them."""
ZSTD_WINDOW = 2**23
"""The memory that a Zstandard frame may ask for: what every decoder must support (RFC 8878 §3.1.1.1.2)."""
BOM = b"\xef\xbb\xbf"


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    """The whole body, decompressed. Raises TooLarge, UnsupportedMedia, InvalidContent or ClientGone."""
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding in {b"identity", b""}:
        return await _read_plain(receive, limit)
    inflate = _INFLATERS.get(encoding)
    if inflate is None:
        raise UnsupportedMedia("this Content-Encoding cannot be read here; allowed: gzip, zstd, identity")
    return await _read_inflated(receive, inflate(limit))


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


class _Inflater(Protocol):
    """A compressed stream on its way in."""

    def feed(self, chunk: bytes) -> None:
        """Take the next piece. Raises InvalidContent or TooLarge."""

    def finish(self) -> bytes:
        """All of it, inflated. Raises InvalidContent when it ends too early."""


async def _read_inflated(receive: Receive, reader: _Inflater) -> bytes:
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


class _Unzstd:
    """A Zstandard stream (of one or several frames), never inflated far beyond the limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._out = bytearray()
        self._decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._frame = self._decoder.decompressobj()
        self._begun = False

    def feed(self, chunk: bytes) -> None:
        for start in range(0, len(chunk), ZSTD_STEP):
            piece = chunk[start : start + ZSTD_STEP]
            while piece:
                piece = self._inflate(piece)
            if len(self._out) > self._limit:
                raise _too_large(self._limit)

    def _inflate(self, piece: bytes) -> bytes:
        """What is left of ``piece`` after the frame it belongs to."""
        if self._frame.eof:
            self._frame = self._decoder.decompressobj()
        self._begun = True
        try:
            self._out += self._frame.decompress(piece)
        except zstandard.ZstdError as error:
            raise InvalidContent(
                "the body is not zstd (with a window of at most 8 MiB), although Content-Encoding says so"
            ) from error
        return self._frame.unused_data if self._frame.eof else b""

    def finish(self) -> bytes:
        if self._begun and not self._frame.eof:
            raise InvalidContent("the zstd body ends too early")
        return bytes(self._out)


_INFLATERS: dict[bytes, Callable[[int], _Inflater]] = {b"gzip": _Gunzip, b"x-gzip": _Gunzip, b"zstd": _Unzstd}


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
