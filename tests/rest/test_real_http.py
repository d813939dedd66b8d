"""Over a real socket, with the server that production runs: what an ASGI test client cannot show."""

import asyncio
import gzip

import httpx
import pytest
import uvicorn

PATIENT = b'{"resourceType":"Patient","gender":"male"}'
FHIR = {"Content-Type": "application/fhir+json"}


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"max_body": 100_000})


@pytest.fixture
async def http(app, client):
    """A client of a uvicorn that listens on a free port, with the token of ``client``."""
    config = uvicorn.Config(
        app.asgi, port=0, lifespan="off", log_config=None, access_log=False, http="httptools"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": client.headers["Authorization"]}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False
    ) as real:
        yield real
    server.should_exit = True
    await serving


async def test_a_create_and_the_read_of_its_location(http):
    made = await http.post("/fhir/Patient", content=PATIENT, headers=FHIR)
    assert made.status_code == 201
    read = await http.get(made.headers["location"])
    assert read.content == made.content
    head = await http.head(made.headers["location"])
    assert (head.content, head.headers["content-length"]) == (b"", read.headers["content-length"])


async def test_answers_without_a_body_keep_the_connection_usable(http):
    made = await http.post("/fhir/Patient", content=PATIENT, headers=FHIR)
    path = f"/fhir/Patient/{made.json()['id']}"
    assert (await http.get(path, headers={"If-None-Match": 'W/"1"'})).status_code == 304
    assert (await http.delete(path)).status_code == 204
    assert (await http.get(path)).status_code == 410


async def test_requests_sent_together_are_answered_in_their_order(http):
    address = http.base_url
    reader, writer = await asyncio.open_connection(address.host, address.port)
    ids = [f"r{number}" for number in range(20)]
    for id in ids:
        writer.write(f"GET /fhir/metadata-{id} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {id}\r\n\r\n".encode())
    told = []
    while len(told) < len(ids):
        line = await reader.readline()
        if line.lower().startswith(b"x-request-id:"):
            told.append(line.split(b":")[1].strip().decode())
    assert told == ids
    writer.close()
    await writer.wait_closed()


async def test_a_long_answer_arrives_whole(http):
    answer = await http.get("/fhir/metadata", headers={"Accept-Encoding": "identity"})
    assert len(answer.content) == int(answer.headers["content-length"]) > 500_000
    assert answer.json()["resourceType"] == "CapabilityStatement"


async def test_a_chunked_and_a_gzipped_body(http):
    async def chunks():
        for byte in PATIENT:
            yield bytes([byte])

    assert (await http.post("/fhir/Patient", content=chunks(), headers=FHIR)).status_code == 201
    packed = {**FHIR, "Content-Encoding": "gzip"}
    assert (
        await http.post("/fhir/Patient", content=gzip.compress(PATIENT), headers=packed)
    ).status_code == 201


async def test_a_body_over_the_limit_gets_413_and_the_end_of_the_connection(http):
    answer = await http.post("/fhir/Patient", content=b" " * 100_001, headers=FHIR)
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert answer.json()["issue"][0]["code"] == "too-long"
    assert (await http.get("/health/live")).status_code == 200


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing(http, server):
    before = await server.store.changes(0, 1000)
    address = http.base_url
    _, writer = await asyncio.open_connection(address.host, address.port)
    head = f"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: {http.headers['Authorization']}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    writer.write(head.encode() + PATIENT)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await http.get("/fhir/Patient?_summary=count")).json()["total"] == 0
    assert await server.store.changes(0, 1000) == before


async def test_what_is_no_http_does_not_stop_the_server(http):
    address = http.base_url
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"\x0bMSH|^~\\&|HIS|\r\x1c\r")
    assert (await reader.read(12)).startswith(b"HTTP/1.1 400")
    writer.close()
    await writer.wait_closed()
    assert (await http.get("/health/live")).status_code == 200
