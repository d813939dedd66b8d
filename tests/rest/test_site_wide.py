"""What holds for every address: compression, CORS, HEAD, OPTIONS, conditional reads of versions."""

import gzip

import httpx
import pytest
import zstandard

from fhir_server.app import build
from fhir_server.settings import Settings

ORIGIN = "https://emr.example.org"
LONG = {"resourceType": "Basic", "id": "b1", "code": {"text": "长" * 2000}}


def unpack(answer, raw):
    coding = answer.headers.get("content-encoding")
    return {
        "gzip": gzip.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompress(data),
        None: bytes,
    }[coding](raw)


async def raw_get(client, path, **headers):
    async with client.stream("GET", path, headers=headers) as answer:
        return answer, b"".join([piece async for piece in answer.aiter_raw()])


@pytest.mark.parametrize("accept", ["application/fhir+json", "application/fhir+xml"])
@pytest.mark.parametrize(
    ("asked", "coding"), [("gzip", "gzip"), ("zstd", "zstd"), ("gzip;q=0", None), ("identity", None)]
)
async def test_a_long_answer_is_compressed_for_who_asks(client, put, accept, asked, coding):
    await put("Basic/b1", LONG)
    plain = (
        await client.get("/fhir/Basic/b1", headers={"Accept": accept, "Accept-Encoding": "identity"})
    ).content
    answer, raw = await raw_get(client, "/fhir/Basic/b1", **{"Accept": accept, "Accept-Encoding": asked})
    assert answer.headers.get("content-encoding") == coding
    assert int(answer.headers["content-length"]) == len(raw)
    assert unpack(answer, raw) == plain
    assert "accept-encoding" in answer.headers["vary"]
    assert answer.headers["etag"].startswith("W/")
    assert coding is None or len(raw) < len(plain) / 5


async def test_a_short_answer_is_not(client, put):
    await put("Basic/b2", {"resourceType": "Basic", "id": "b2", "code": {"text": "短"}})
    answer, _ = await raw_get(client, "/fhir/Basic/b2", **{"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers


async def test_an_image_is_not_but_a_text_is(client):
    for kind, coding in (("image/png", None), ("text/csv", "gzip")):
        await client.put("/fhir/Binary/b", content=b"a" * 5000, headers={"Content-Type": kind})
        answer, raw = await raw_get(client, "/fhir/Binary/b", **{"Accept-Encoding": "gzip"})
        assert answer.headers.get("content-encoding") == coding
        assert unpack(answer, raw) == b"a" * 5000


async def test_a_zstd_body(client):
    body = zstandard.ZstdCompressor().compress(b'{"resourceType":"Patient"}')
    headers = {"Content-Type": "application/fhir+json", "Content-Encoding": "zstd"}
    assert (await client.post("/fhir/Patient", content=body, headers=headers)).status_code == 201


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json"])
async def test_head_is_answered_where_get_is(client, path):
    got, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


async def test_options_names_the_methods_and_the_patches(client):
    answer = await client.options("/fhir/Patient/p1")
    assert answer.status_code == 204
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    assert "application/fhir+xml" in answer.headers["accept-patch"]
    assert (await client.options("/fhir/metadata")).headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": 'W/"1"'}, 304),
        ({"If-None-Match": 'W/"2"'}, 200),
        ({"If-Modified-Since": "Mon, 02 Mar 2026 01:12:00 GMT"}, 304),
        ({"If-None-Match": 'W/"2"', "If-Modified-Since": "Mon, 02 Mar 2026 01:12:00 GMT"}, 200),
    ],
)
async def test_a_version_that_is_known_is_not_sent_again(client, put, headers, status):
    await put("Basic/b1", LONG)
    answer = await client.get(
        "/fhir/Basic/b1/_history/1", headers={**headers, "Accept": "application/fhir+xml"}
    )
    assert (answer.status_code, answer.content == b"") == (status, status == 304)


@pytest.fixture
def open_to(settings, clock):
    """``async with open_to("https://…") as http``: a server that pages of these origins may call."""

    def opened(origins):
        changed = Settings(**{**settings.model_dump(), "cors_origins": origins})
        return build(changed, now=clock)

    return opened


async def ask(app, method, path, **headers):
    async with app.running():
        transport = httpx.ASGITransport(app.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://fhir.test") as http:
            return await http.request(method, path, headers=headers)


PREFLIGHT = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}


async def test_a_page_of_a_named_origin_may_ask_and_read(open_to):
    asked = await ask(
        open_to(f"{ORIGIN}, http://localhost:3000"), "OPTIONS", "/fhir/Patient/1", Origin=ORIGIN, **PREFLIGHT
    )
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, ORIGIN)
    assert "PUT" in asked.headers["access-control-allow-methods"]
    assert "authorization" in asked.headers["access-control-allow-headers"]
    assert asked.headers["vary"] == "origin"
    got = await ask(open_to(ORIGIN), "GET", "/fhir/metadata", Origin=ORIGIN)
    assert got.headers["access-control-allow-origin"] == ORIGIN
    assert {"etag", "location", "last-modified"} <= set(
        got.headers["access-control-expose-headers"].split(", ")
    )
    assert "access-control-allow-credentials" not in got.headers


async def test_errors_and_tokens_can_be_read_too(open_to):
    refused = await ask(open_to(ORIGIN), "GET", "/fhir/Patient", Origin=ORIGIN)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
    token = await ask(open_to(ORIGIN), "OPTIONS", "/auth/token", Origin=ORIGIN, **PREFLIGHT)
    assert token.status_code == 204


async def test_any_origin(open_to):
    got = await ask(open_to("*"), "GET", "/fhir/metadata", Origin="https://anybody.example.org")
    assert got.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("origins", ["", "https://other.example.org"])
async def test_other_origins_are_told_nothing(open_to, origins):
    got = await ask(open_to(origins), "GET", "/fhir/metadata", Origin=ORIGIN)
    asked = await ask(open_to(origins), "OPTIONS", "/fhir/Patient/1", Origin=ORIGIN, **PREFLIGHT)
    assert not [name for name in (*got.headers, *asked.headers) if name.startswith("access-control")]
    assert asked.status_code == 401


@pytest.mark.parametrize("origins", ["emr.example.org", "https://emr.example.org/app", "ftp://x"])
def test_what_is_no_origin_is_refused_at_the_start(origins):
    with pytest.raises(ValueError, match="an origin is scheme"):
        Settings(cors_origins=origins)
