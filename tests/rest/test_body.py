import gzip
import random
import tracemalloc

import pytest
import zstandard

from fhir_server.errors import InvalidContent, TooLarge, UnsupportedMedia
from fhir_server.rest.body import ClientGone, read_body

LIMIT = 1000
GZIP = {b"content-encoding": b"gzip"}


def sender(*chunks):
    """An ASGI ``receive`` that hands out ``chunks`` and counts them."""
    left = list(chunks)

    async def receive():
        if not left:
            return {"type": "http.disconnect"}
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    receive.left = left
    return receive


async def test_one_chunk_and_many_chunks_are_the_same():
    assert await read_body(sender(b"abc"), {}, LIMIT) == b"abc"
    assert await read_body(sender(b"a", b"", b"bc"), {}, LIMIT) == b"abc"
    assert await read_body(sender(b""), {}, LIMIT) == b""


async def test_the_limit_is_the_last_byte_allowed():
    assert len(await read_body(sender(b"x" * 600, b"x" * 400), {}, LIMIT)) == LIMIT
    with pytest.raises(TooLarge, match="1000 bytes"):
        await read_body(sender(b"x" * 600, b"x" * 401), {}, LIMIT)
    with pytest.raises(TooLarge):
        await read_body(sender(b"x" * 1001), {}, LIMIT)


async def test_reading_stops_at_the_first_chunk_beyond_the_limit():
    receive = sender(*[b"x" * 600] * 10)
    with pytest.raises(TooLarge):
        await read_body(receive, {}, LIMIT)
    assert len(receive.left) == 8


async def test_a_declared_length_over_the_limit_is_refused_unread():
    receive = sender(b"x")
    with pytest.raises(TooLarge):
        await read_body(receive, {b"content-length": b"1001"}, LIMIT)
    assert receive.left == [b"x"]


async def test_gzip_in_any_chunks_and_members():
    packed = gzip.compress(b"abc" * 100) + gzip.compress(b"def")
    one_by_one = [packed[i : i + 1] for i in range(len(packed))]
    assert await read_body(sender(packed), GZIP, LIMIT) == b"abc" * 100 + b"def"
    assert await read_body(sender(*one_by_one), GZIP, LIMIT) == b"abc" * 100 + b"def"


async def test_gzip_is_limited_after_decompression():
    assert len(await read_body(sender(gzip.compress(b"x" * 1000)), GZIP, LIMIT)) == LIMIT
    with pytest.raises(TooLarge):
        await read_body(sender(gzip.compress(b"x" * 1001)), GZIP, LIMIT)


async def test_a_gzip_bomb_never_grows_beyond_the_limit(monkeypatch):
    bomb = gzip.compress(b"\0" * 50_000_000)
    chunks = [bomb[i : i + 4096] for i in range(0, len(bomb), 4096)]
    receive = sender(*chunks)
    with pytest.raises(TooLarge):
        await read_body(receive, GZIP, LIMIT)
    assert len(receive.left) == len(chunks) - 1


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"not gzip", "not gzip"),
        (gzip.compress(random.Random(1).randbytes(300), mtime=0)[:-9], "ends too early"),
        (gzip.compress(b"abc", mtime=0) + b"junk", "not gzip"),
    ],
)
async def test_broken_gzip_is_refused(raw, text):
    with pytest.raises(InvalidContent, match=text):
        await read_body(sender(raw), GZIP, LIMIT)


async def test_other_encodings_are_refused():
    with pytest.raises(UnsupportedMedia, match="allowed: gzip"):
        await read_body(sender(b"x"), {b"content-encoding": b"br"}, LIMIT)


async def test_a_client_that_leaves_is_not_taken_for_an_empty_body():
    with pytest.raises(ClientGone):
        await read_body(sender(), {}, LIMIT)


ZSTD = {b"content-encoding": b"zstd"}


def packed_as_zstd(data):
    return zstandard.ZstdCompressor().compress(data)


async def test_zstd_in_any_chunks_and_frames():
    packed = packed_as_zstd(b"abc" * 100) + packed_as_zstd(b"def")
    one_by_one = [packed[i : i + 1] for i in range(len(packed))]
    assert await read_body(sender(packed), ZSTD, LIMIT) == b"abc" * 100 + b"def"
    assert await read_body(sender(*one_by_one), ZSTD, LIMIT) == b"abc" * 100 + b"def"


async def test_a_zstd_bomb_is_not_inflated():
    bomb = packed_as_zstd(bytes(2**28))
    tracemalloc.start()
    with pytest.raises(TooLarge):
        await read_body(sender(bomb), ZSTD, LIMIT)
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-3], lambda raw: b"{}", lambda raw: raw + b"x"])
async def test_what_is_no_zstd_is_refused(spoil):
    with pytest.raises(InvalidContent, match="zstd"):
        await read_body(sender(spoil(packed_as_zstd(b"abc" * 100))), ZSTD, LIMIT)


async def test_a_frame_that_asks_for_much_memory_is_refused():
    settings = zstandard.ZstdCompressionParameters(window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    with pytest.raises(InvalidContent, match="8 MiB"):
        await read_body(sender(packer.compress(b"abc") + packer.flush()), ZSTD, LIMIT)
