"""Access tokens: signed JWTs of one hour, made for a client and checked on every request.

The signing key (ES256) is made at the first start and kept as an internal ``_Key`` record, so that
all servers on one store share it. A token that was checked is remembered for ``RECHECK`` seconds:
that is how long a removed, suspended or rotated client can go on, on any server of the store.
Source: RFC 6750, RFC 7519, RFC 9068.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from fhir_server.errors import Conflict, Unauthenticated
from fhir_server.search.index import IndexValues
from fhir_server.security.caller import Caller
from fhir_server.security.clients import Client, current_client
from fhir_server.store import Record, Store

KEY_TYPE, KEY_ID = "_Key", "signing"
LIFETIME = 3600
RECHECK = 2.0
MOST_REMEMBERED = 4096


async def open_key(store: Store, now: Callable[[], datetime]) -> ECKey:
    """The community's signing key, made when the store has none yet."""
    record = await store.read(KEY_TYPE, KEY_ID)
    if record is None:
        record = await _make_key(store, now)
    return ECKey.import_key(orjson.loads(record.content))


async def _make_key(store: Store, now: Callable[[], datetime]) -> Record:
    key = ECKey.generate_key("P-256", {"kid": uuid4().hex, "use": "sig"})
    updated = int(now().timestamp() * 1_000_000)
    made = Record(KEY_TYPE, KEY_ID, 1, updated, "POST", orjson.dumps(key.as_dict(private=True)))
    try:
        async with store.transaction() as transaction:
            existing = await transaction.read(KEY_TYPE, KEY_ID)
            if existing is None:
                await transaction.put(made, IndexValues())
        return existing or made
    except Conflict:
        winner = await store.read(KEY_TYPE, KEY_ID)
        if winner is None:
            raise
        return winner


class Tokens:
    """Issues and verifies the access tokens of one community."""

    def __init__(self, store: Store, key: ECKey, issuer: str, now: Callable[[], datetime]) -> None:
        self._store = store
        self._key = key
        self._issuer = issuer
        self._now = now
        self._remembered: dict[bytes, tuple[Caller, float]] = {}

    def issue(self, client: Client) -> str:
        """A token for ``client``, good for ``LIFETIME`` seconds while the client stays as it is."""
        moment = int(self._now().timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": client.id,
            "org": client.organization,
            "gen": client.generation,
            "iat": moment,
            "exp": moment + LIFETIME,
            "jti": uuid4().hex,
        }
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": self._key.kid}, claims, self._key)

    def recall(self, authorization: bytes) -> Caller | None:
        """The caller of an ``Authorization`` header that was verified a moment ago, else None."""
        entry = self._remembered.get(authorization)
        if entry is not None and entry[1] > self._now().timestamp():
            return entry[0]
        return None

    async def verify(self, authorization: bytes) -> Caller:
        """The caller of an ``Authorization: Bearer …`` header. Raises Unauthenticated."""
        claims = self._read(authorization)
        moment = self._now().timestamp()
        if claims.get("iss") != self._issuer or claims.get("aud") != self._issuer:
            raise _refused("the access token is not for this server")
        expires = claims.get("exp")
        if not isinstance(expires, int) or expires <= moment:
            raise _refused("the access token has expired: get a new one from /auth/token", code="expired")
        client = await current_client(self._store, str(claims.get("sub")))
        if client is None or client.generation != claims.get("gen"):
            raise _refused("the access token was revoked: its client was removed or changed")
        caller = Caller(client.id, client.organization, administrator=client.administrator)
        self._remember(authorization, caller, min(expires, moment + RECHECK))
        return caller

    def _read(self, authorization: bytes) -> dict[str, object]:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not token.strip():
            raise _refused("the Authorization header must be: Bearer <access token>")
        try:
            return jwt.decode(token.strip().decode("ascii"), self._key, algorithms=["ES256"]).claims
        except (JoseError, ValueError) as error:
            raise _refused("the access token is not one of this server's") from error

    def _remember(self, authorization: bytes, caller: Caller, until: float) -> None:
        self._remembered.pop(authorization, None)
        if len(self._remembered) >= MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[authorization] = (caller, until)


def _refused(text: str, code: str = "login") -> Unauthenticated:
    challenge = f'Bearer error="invalid_token", error_description="{text}"'
    return Unauthenticated(text, code=code, headers={"WWW-Authenticate": challenge})
