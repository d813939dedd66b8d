import asyncio
import base64
import hmac

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from fhir_server.errors import Unauthenticated
from fhir_server.security.caller import Caller
from fhir_server.security.clients import Clients
from fhir_server.security.tokens import LIFETIME, MOST_REMEMBERED, RECHECK, Tokens, open_key


@pytest.fixture
def clients(server):
    return Clients(server.store, server.now, server.new_id)


@pytest.fixture
async def key(server):
    return await open_key(server.store, server.now)


@pytest.fixture
def tokens(server, key):
    return Tokens(server.store, key, "urn:test", server.now)


@pytest.fixture
async def his(clients):
    client, _ = await clients.add("Organization/h1", "", id="his-1")
    return client


def bearer(token):
    return f"Bearer {token}".encode()


async def test_a_token_names_the_client_and_its_organisation(tokens, his):
    header = bearer(tokens.issue(his))
    assert tokens.recall(header) is None
    assert await tokens.verify(header) == Caller("his-1", "Organization/h1")
    assert tokens.recall(header) == Caller("his-1", "Organization/h1")


async def test_the_token_of_an_administrator_makes_an_administrator(tokens, clients):
    client, _ = await clients.add("Organization/h1", "", id="desk", administrator=True)
    assert await tokens.verify(bearer(tokens.issue(client))) == Caller(
        "desk", "Organization/h1", administrator=True
    )


async def test_the_claims_of_a_token(tokens, his, key, clock):
    decoded = jwt.decode(tokens.issue(his), key)
    moment = int(clock().timestamp())
    jti = decoded.claims.pop("jti")
    assert len(jti) == 32
    assert decoded.header == {"alg": "ES256", "typ": "at+jwt", "kid": key.kid}
    assert decoded.claims == {
        "iss": "urn:test",
        "aud": "urn:test",
        "sub": "his-1",
        "org": "Organization/h1",
        "gen": 1,
        "iat": moment,
        "exp": moment + LIFETIME,
    }


async def test_a_token_ends_after_an_hour(tokens, his, clock):
    header = bearer(tokens.issue(his))
    clock.advance(seconds=LIFETIME - 1)
    await tokens.verify(header)
    clock.advance(seconds=1)
    assert tokens.recall(header) is None
    with pytest.raises(Unauthenticated, match="expired") as caught:
        await tokens.verify(header)
    assert caught.value.issues[0].code == "expired"
    assert 'error="invalid_token"' in caught.value.headers["WWW-Authenticate"]


@pytest.mark.parametrize("change", ["rotate", "remove", "suspend"])
async def test_changing_the_client_ends_its_tokens_within_the_recheck(tokens, his, clients, clock, change):
    header = bearer(tokens.issue(his))
    await tokens.verify(header)
    act = {
        "rotate": lambda: clients.rotate("his-1"),
        "remove": lambda: clients.remove("his-1"),
        "suspend": lambda: clients.set_active("his-1", False),
    }[change]
    await act()
    clock.advance(seconds=RECHECK)
    assert tokens.recall(header) is None
    with pytest.raises(Unauthenticated, match="revoked"):
        await tokens.verify(header)


async def test_a_client_let_in_again_needs_a_new_token(tokens, his, clients):
    header = bearer(tokens.issue(his))
    await clients.set_active("his-1", False)
    await clients.set_active("his-1", True)
    with pytest.raises(Unauthenticated, match="revoked"):
        await tokens.verify(header)


async def test_servers_on_one_store_share_the_key(server, his, tokens):
    other = Tokens(server.store, await open_key(server.store, server.now), "urn:test", server.now)
    assert await other.verify(bearer(tokens.issue(his))) == Caller("his-1", "Organization/h1")


async def test_servers_that_start_together_agree_on_one_key(server):
    keys = await asyncio.gather(*[open_key(server.store, server.now) for _ in range(5)])
    assert len({key.kid for key in keys}) == 1


async def test_a_token_of_another_issuer_is_refused(server, key, his, tokens):
    other = Tokens(server.store, key, "urn:other", server.now)
    with pytest.raises(Unauthenticated, match="not for this server"):
        await tokens.verify(bearer(other.issue(his)))


def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(key, his, clock, **changes):
    """A token signed with ``key`` with the claims of a good one, except ``changes``."""
    claims = {"iss": "urn:test", "aud": "urn:test", "sub": his.id, "gen": his.generation}
    claims["exp"] = int(clock().timestamp()) + 60
    return jwt.encode({"alg": "ES256"}, {**claims, **changes}, key)


async def test_a_token_signed_by_another_key_is_refused(tokens, his, clock):
    stranger = ECKey.generate_key("P-256")
    with pytest.raises(Unauthenticated, match="not one of this server's"):
        await tokens.verify(bearer(forged(stranger, his, clock)))


async def test_the_public_key_is_no_shared_secret(tokens, his, key, clock):
    _, claims, _ = forged(key, his, clock).split(".")
    header = encoded(b'{"alg":"HS256"}')
    signed = f"{header}.{claims}"
    mac = hmac.digest(key.as_pem(private=False), signed.encode(), "sha256")
    with pytest.raises(Unauthenticated, match="not one of this server's"):
        await tokens.verify(bearer(f"{signed}.{encoded(mac)}"))


@pytest.mark.parametrize("exp", [None, "2099", 1e12, True])
async def test_an_expiry_that_is_no_number_of_seconds_is_refused(tokens, his, key, clock, exp):
    with pytest.raises(Unauthenticated):
        await tokens.verify(bearer(forged(key, his, clock, exp=exp)))


@pytest.mark.parametrize(
    "header",
    [b"", b"Bearer", b"Bearer ", b"Basic abc", b"Token x.y.z", b"Bearer x.y.z", b"Bearer \xff", b"Bearer a.b",
     b"Bearer eyJhbGciOiJub25lIn0.e30."],
)  # fmt: skip
async def test_what_is_no_token_is_refused(tokens, header):
    with pytest.raises(Unauthenticated) as caught:
        await tokens.verify(header)
    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer ")


async def test_the_scheme_is_read_without_case(tokens, his):
    assert await tokens.verify(b"bEARER " + tokens.issue(his).encode()) == Caller("his-1", "Organization/h1")


async def test_memory_is_bounded(tokens):
    for number in range(MOST_REMEMBERED + 10):
        tokens._remember(b"%d" % number, Caller("x"), 0.0)
    assert len(tokens._remembered) == MOST_REMEMBERED
    assert b"0" not in tokens._remembered
