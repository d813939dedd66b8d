"""``POST /auth/token`` (RFC 6749 §4.4, §5)."""

import base64

import pytest

from fhir_server.security.clients import Clients
from fhir_server.security.throttle import FREE_FAILURES

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
async def secret(server):
    clients = Clients(server.store, server.now, server.new_id)
    _, secret = await clients.add("Organization/h1", "", id="his-1")
    return secret


def basic(text):
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


async def test_credentials_in_the_header(anonymous, secret):
    answer = await anonymous.post("/auth/token", data=GRANT, headers=basic(f"his-1:{secret}"))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    token = answer.json()
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 3600)
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert (await anonymous.get("/fhir/Patient", headers=headers)).status_code == 200


async def test_credentials_in_the_form(anonymous, secret):
    form = {**GRANT, "client_id": "his-1", "client_secret": secret}
    answer = await anonymous.post("/auth/token", data=form)
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type", "expires_in"}


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        (GRANT, basic("his-1:wrong"), 401, "invalid_client"),
        (GRANT, basic("nobody:wrong"), 401, "invalid_client"),
        (GRANT, basic("no colon"), 401, "invalid_client"),
        (GRANT, {"Authorization": "Basic ***"}, 401, "invalid_client"),
        (GRANT, {"Authorization": "Bearer x"}, 401, "invalid_client"),
        (GRANT, {}, 401, "invalid_client"),
        ({**GRANT, "client_id": "his-1"}, {}, 401, "invalid_client"),
        ({**GRANT, "client_id": "his-1", "client_secret": "wrong"}, {}, 401, "invalid_client"),
        ({**GRANT, "client_secret": "x"}, basic("his-1:x"), 400, "invalid_request"),
        ({"grant_type": "password"}, basic("his-1:x"), 400, "unsupported_grant_type"),
        ({}, {"Content-Type": "application/x-www-form-urlencoded"}, 400, "unsupported_grant_type"),
        (GRANT, {"Content-Type": "application/json"}, 415, "invalid_request"),
        ({**GRANT, "x": "y" * 20_000}, {}, 413, "invalid_request"),
    ],
)
async def test_refusals_are_told_as_oauth_tells_them(anonymous, secret, form, headers, status, error):
    answer = await anonymous.post("/auth/token", data=form, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.get("www-authenticate", "").startswith("Basic") == (status == 401)


async def test_a_form_that_is_not_utf_8_is_an_invalid_request(anonymous):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await anonymous.post("/auth/token", content=b"grant_type=%D5", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_guessing_is_slowed_down_and_the_wait_is_told(anonymous, secret, clock):
    for _ in range(FREE_FAILURES):
        answer = await anonymous.post("/auth/token", data=GRANT, headers=basic("his-1:wrong"))
        assert answer.status_code == 401
    right = basic(f"his-1:{secret}")
    throttled = await anonymous.post("/auth/token", data=GRANT, headers=right)
    assert throttled.status_code == 429
    assert throttled.json()["error"] == "temporarily_unavailable"
    clock.advance(seconds=int(throttled.headers["retry-after"]))
    assert (await anonymous.post("/auth/token", data=GRANT, headers=right)).status_code == 200
    assert (await anonymous.post("/auth/token", data=GRANT, headers=basic("his-1:wrong"))).status_code == 401


async def test_an_expired_token_is_told_from_a_wrong_one(client, clock):
    clock.advance(hours=2)
    answer = await client.get("/fhir/Patient")
    assert answer.status_code == 401
    assert answer.json()["issue"][0]["code"] == "expired"
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_removing_a_client_ends_its_tokens(client, server, clock):
    assert (await client.get("/fhir/Patient")).status_code == 200
    await Clients(server.store, server.now, server.new_id).remove("client-h1")
    clock.advance(seconds=2)
    assert (await client.get("/fhir/Patient")).status_code == 401
