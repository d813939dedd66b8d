"""``POST /inbound/{his}`` and the quarantine, over HTTP with real tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from inbound_scene import COUNTY, TOWNSHIP, Scene, changed, example

from fhir_server.app import App
from fhir_server.security.clients import Clients

HL7 = "x-application/hl7-v2+er7"
Client = Callable[[str], Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def client_of(app: App, inbound: Scene) -> AsyncIterator[Client]:
    """``await client_of("h2")`` is an HTTP client with a token of Organization/h2."""
    opened: list[httpx.AsyncClient] = []

    async def make(organization: str) -> httpx.AsyncClient:
        known = Clients(app.server.store, app.server.now, app.server.new_id)
        id = f"his-{organization}"
        _, secret = await known.add(f"Organization/{organization}", "HIS", id=id)
        transport = httpx.ASGITransport(app.asgi)
        http = httpx.AsyncClient(transport=transport, base_url="http://fhir.test", trust_env=False)
        opened.append(http)
        answer = await http.post("/auth/token", data={"grant_type": "client_credentials"}, auth=(id, secret))
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return http

    yield make
    for http in opened:
        await http.aclose()


def post(http: httpx.AsyncClient, his: str, raw: bytes, content_type: str = HL7) -> Awaitable[httpx.Response]:
    return http.post(f"/inbound/{his}", content=raw, headers={"Content-Type": content_type})


async def test_an_hl7_message_is_answered_with_its_acknowledgement(client_of: Client, inbound: Scene) -> None:
    http = await client_of("h2")
    answer = await post(http, TOWNSHIP, example("ref_i12"))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(HL7)
    assert "MSA|AA|NHIS202603020912000002|processed\r" in answer.content.decode("gb18030")
    assert len(await inbound.all("Task")) == 1


async def test_a_refused_message_says_so_in_status_and_acknowledgement(client_of: Client) -> None:
    http = await client_of("h2")
    answer = await post(http, TOWNSHIP, changed(example("ref_i12"), ("|S^急|", "|Q^急|")))
    assert answer.status_code == 422
    assert "MSA|AE|" in answer.text


async def test_every_row_of_a_table_has_its_own_outcome(client_of: Client, inbound: Scene) -> None:
    http = await client_of("h2")
    good = example("zzyjl_referral").decode("gb18030").rstrip("\r\n")
    bad = good.splitlines()[1].replace("YJ20260302001", "YJ20260302002").replace(",周瑋,", ",,")
    table = f"{good}\r\n{bad}\r\n".encode("gb18030")
    answer = await post(http, TOWNSHIP, table, "text/csv")
    assert answer.status_code == 422
    issues = answer.json()["issue"]
    assert issues[0]["severity"] == "information"
    assert issues[0]["details"]["text"].startswith("row 1: AA, processed: ")
    assert {issue["details"]["text"][:9] for issue in issues if issue["severity"] == "error"} == {"row 2: AE"}
    assert len(await inbound.all("Task")) == 1


async def test_only_the_organisation_of_the_his_may_send(client_of: Client, inbound: Scene) -> None:
    before = await inbound.server.store.changes(0, 1000)
    http = await client_of("h1")
    for address in (f"/inbound/{TOWNSHIP}", f"/inbound/{TOWNSHIP}/quarantine/replay"):
        answer = await http.post(address, content=example("ref_i12"))
        assert answer.status_code == 403
        assert answer.json()["resourceType"] == "OperationOutcome"
    assert (await http.get(f"/inbound/{TOWNSHIP}/quarantine")).status_code == 403
    assert (await post(http, "nobody", b"x")).status_code == 404
    after = [r for r in await inbound.server.store.changes(0, 1000) if r not in before]
    assert {record.type for record in after} <= {"_Client"}


async def test_without_a_token_nothing_is_taken(anonymous: httpx.AsyncClient, inbound: Scene) -> None:
    answer = await post(anonymous, TOWNSHIP, example("ref_i12"))
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers


async def test_a_body_over_the_limit_and_a_compressed_one_are_refused(client_of: Client) -> None:
    http = await client_of("h2")
    assert (await post(http, TOWNSHIP, b"MSH|" + b"x" * 100_000)).status_code == 413
    answer = await http.post(f"/inbound/{TOWNSHIP}", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


async def test_what_is_no_table_is_told_and_kept(client_of: Client) -> None:
    http = await client_of("h2")
    assert (await post(http, TOWNSHIP, b"", "text/csv")).status_code == 422
    broken = example("zzyjl_referral").replace("周".encode("gb18030"), b"\xff\xff")
    answer = await post(http, TOWNSHIP, broken, "text/csv")
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "BAD_BYTES"
    assert str(broken.index(b"\xff")) in answer.text
    listing = (await http.get(f"/inbound/{TOWNSHIP}/quarantine", params={"code": "BAD_BYTES"})).json()
    assert (
        await http.get(f"/inbound/{TOWNSHIP}/quarantine/{listing['messages'][0]['id']}")
    ).content == broken
    header = example("zzyjl_referral").splitlines()[0]
    assert (await post(http, TOWNSHIP, header, "text/csv")).status_code == 400


async def test_the_quarantine_is_listed_read_replayed_and_emptied(client_of: Client, inbound: Scene) -> None:
    http = await client_of("h2")
    wrong = changed(example("ref_i12"), ("|S^急|", "|Q^急|"))
    await post(http, TOWNSHIP, wrong)
    listing = (await http.get(f"/inbound/{TOWNSHIP}/quarantine", params={"code": "UNMAPPED_CODE"})).json()
    assert listing["total"] == 1
    assert listing["groups"][0]["code"] == "UNMAPPED_CODE"
    (message,) = listing["messages"]
    assert (message["control"], message["ack"], message["attempts"]) == ("NHIS202603020912000002", "AE", 1)
    assert message["peer"] == "client:his-h2"
    assert "raw" not in message

    place = f"/inbound/{TOWNSHIP}/quarantine/{message['id']}"
    assert (await http.get(place)).content == wrong
    replayed = await http.post(f"{place}/replay")
    assert replayed.status_code == 422
    assert (
        await http.post(f"/inbound/{TOWNSHIP}/quarantine/replay", params={"code": "NONE"})
    ).status_code == 200
    assert (await http.post(f"/inbound/{TOWNSHIP}/quarantine/replay")).status_code == 422

    assert (await http.post(f"{place}/discard", json={})).status_code == 400
    assert (await http.post(f"{place}/discard", content=b"{")).status_code == 400
    assert (await http.post(f"{place}/discard", json={"reason": "sent again"})).status_code == 200
    assert (await http.get(place)).status_code == 409
    assert (await http.get(f"/inbound/{TOWNSHIP}/quarantine")).json()["total"] == 0


async def test_a_his_sees_only_its_own_quarantine(client_of: Client, inbound: Scene) -> None:
    receipt = await inbound.receive(b"hello", COUNTY, HL7)
    http = await client_of("h2")
    assert (await http.get(f"/inbound/{TOWNSHIP}/quarantine/{receipt.id}")).status_code == 404
    assert (await http.get(f"/inbound/{TOWNSHIP}/quarantine")).json()["messages"] == []
