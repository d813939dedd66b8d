"""Answers compressed for who asks: ``Accept-Encoding`` with its weights, zstd before gzip.

Small answers and what is compressed already (images) are sent as they are. Source: RFC 9110 §12.5.3, RFC 8878.
"""

from __future__ import annotations

import zlib
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable, Mapping
from functools import lru_cache
from typing import Any

import zstandard

SMALLEST = 1024
"""Bytes below which compression saves no packet."""
LONGEST = 256
"""Bytes of an ``Accept-Encoding`` that are read and remembered."""
GZIP_LEVEL = 4
ZSTD_LEVEL = 3
_GZIP = 31
_TEXTS = ("application/fhir+", "application/json", "application/xml", "text/")


def gzip(body: bytes) -> bytes:
    """``body`` as one gzip member."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP)
    return packer.compress(body) + packer.flush()


def zstd(body: bytes) -> bytes:
    """``body`` as one Zstandard frame."""
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)


ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {"zstd": zstd, "gzip": gzip}
"""Content coding → how it is made, the better first."""


PACKERS: Mapping[str, Callable[[], Any]] = {
    "zstd": lambda: zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj(),
    "gzip": lambda: zlib.compressobj(GZIP_LEVEL, wbits=_GZIP),
}
"""Content coding → what makes it piece by piece (``compress``, then ``flush``)."""


async def packed(pieces: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """``pieces`` in the content coding ``encoding``; the packing is done beside the event loop."""
    packer = PACKERS[encoding]()
    async for piece in pieces:
        yield await to_thread(packer.compress, piece)
    yield packer.flush()


def choose_encoding(accept: bytes) -> str | None:
    """The content coding that ``Accept-Encoding`` likes best; None: as it is, also for a header that nobody sends."""
    return _choose(accept) if len(accept) <= LONGEST else None


@lru_cache(maxsize=256)
def _choose(accept: bytes) -> str | None:
    weights: dict[str, float] = {}
    for piece in accept.decode("latin-1").lower().split(","):
        name, _, parameter = piece.partition(";")
        weights[name.strip()] = _weight(parameter)
    best, chosen = weights.get("identity", 0.0), None
    for name in ENCODINGS:
        weight = weights.get(name, weights.get("*", 0.0))
        if weight > best or (weight == best > 0 and chosen is None):
            best, chosen = weight, name
    return chosen


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 1.0


def is_worth_compressing(content_type: bytes, body: bytes) -> bool:
    """True for a text that is not small."""
    return len(body) >= SMALLEST and content_type.decode("latin-1").startswith(_TEXTS)
