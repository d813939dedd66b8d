"""API clients: the systems that may ask for tokens, each bound to one organisation.

A client is an internal ``_Client`` record of the store, so every server of a community knows the
same clients and a backup holds them. Its version is its *generation*: rotating, suspending or
removing a client makes a new version, and a token names the version it was made for.

A secret is 256 random bits, shown once and kept as HMAC-SHA256 under a salt of its own. A slow
password hash would add nothing (no dictionary holds such a secret) and would let a flood of wrong
secrets eat the processor.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256

import orjson

from fhir_server.errors import Conflict, InvalidContent, NotFound, Unauthenticated
from fhir_server.model.resource import Json
from fhir_server.search.index import IndexValues, ReferenceRow
from fhir_server.search.query import Clause, Query, ReferenceValue
from fhir_server.search.registry import SearchParameter, arm_key
from fhir_server.store import Reading, Record, Store, Transaction

TYPE = "_Client"
_ORGANIZATION_KEY = arm_key(TYPE, "organization", "reference")
_ORGANIZATION = SearchParameter(
    TYPE, "organization", "reference", "", "organization", (_ORGANIZATION_KEY,), targets=("Organization",)
)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REFERENCE = re.compile(r"Organization/[A-Za-z0-9\-.]{1,64}")
_NOBODY = ("00" * 16, "00" * 32)


@dataclass(frozen=True, slots=True)
class Client:
    """One client of ``organization`` (``Organization/<id>``).

    ``created`` is an ISO 8601 instant, ``generation`` the version of its record. An ``administrator`` may do
    what concerns the whole server (``access.ADMINISTRATION``).
    """

    id: str
    organization: str
    name: str
    created: str
    active: bool = True
    generation: int = 1
    administrator: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    """A client with what proves its secret, as kept in the store."""

    client: Client
    salt: str
    digest: str

    @classmethod
    def of(cls, record: Record) -> _Kept:
        data = orjson.loads(record.content)
        salt, digest = data.pop("salt"), data.pop("digest")
        return cls(Client(**data, generation=record.version), salt, digest)

    def content(self) -> bytes:
        members = asdict(self.client)
        del members["generation"]
        return orjson.dumps({**members, "salt": self.salt, "digest": self.digest})


def index_client(data: Json) -> IndexValues:
    """The index rows of a ``_Client`` record: its organisation."""
    values = IndexValues()
    values.references.append(
        ReferenceRow(_ORGANIZATION_KEY, data["organization"].split("/")[1], "Organization")
    )
    return values


def can_be_client(id: str) -> bool:
    """Whether a client could have this id."""
    return _ID.fullmatch(id) is not None


async def current_client(store: Reading, id: str) -> Client | None:
    """The client called ``id`` as it is now; None when there is none, or it was removed or suspended."""
    record = await store.read(TYPE, id)
    if record is None or record.deleted:
        return None
    client = _Kept.of(record).client
    return client if client.active else None


class Clients:
    """Adds, lists, rotates, suspends, removes and recognises clients."""

    def __init__(self, store: Store, now: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._store = store
        self._now = now
        self._new_id = new_id

    async def add(
        self, organization: str, name: str, *, id: str | None = None, administrator: bool = False
    ) -> tuple[Client, str]:
        """A new client of ``organization`` and its secret, which is not shown again.

        Raises InvalidContent for a malformed id or organisation, Conflict when the id is taken.
        """
        id = id or self._new_id()
        if not can_be_client(id):
            raise InvalidContent("a client id is 1 to 64 letters, digits, '-' and '.'")
        if not _REFERENCE.fullmatch(organization):
            raise InvalidContent("a client belongs to an organisation: Organization/<id>")
        async with self._store.transaction() as transaction:
            record = await transaction.read(TYPE, id)
            if record is not None and not record.deleted:
                raise Conflict(f"there is already a client {id}")
            client = Client(id, organization, name, self._now().isoformat(), administrator=administrator)
            return await self._put(transaction, client, record.version if record else 0)

    async def list(self, organization: str | None = None) -> list[Client]:
        """All clients, or those of ``organization``, in order of id."""
        clauses: tuple[Clause, ...] = ()
        if organization is not None:
            wanted = ReferenceValue("Organization", organization.removeprefix("Organization/"))
            clauses = (Clause(_ORGANIZATION, None, (wanted,)),)
        found: list[Client] = []
        page = await self._store.search(Query(TYPE, clauses, count=100))
        found.extend(_Kept.of(record).client for record in page.records)
        while page.next:
            page = await self._store.search(Query(TYPE, clauses, count=100, cursor=page.next))
            found.extend(_Kept.of(record).client for record in page.records)
        return sorted(found, key=lambda client: client.id)

    async def rotate(self, id: str) -> str:
        """A new secret for the client; the old one and every token end. Raises NotFound."""
        async with self._store.transaction() as transaction:
            kept, version = await self._existing(transaction, id)
            _, secret = await self._put(transaction, kept.client, version)
            return secret

    async def set_active(self, id: str, active: bool) -> None:
        """Suspend the client, or let it in again; its tokens end, its secret stays. Raises NotFound."""
        async with self._store.transaction() as transaction:
            kept, version = await self._existing(transaction, id)
            members = {**asdict(kept.client), "active": active}
            changed = _Kept(Client(**members), kept.salt, kept.digest)
            await transaction.put(
                self._record(id, version + 1, "PUT", changed.content()), self._rows(changed.client)
            )

    async def remove(self, id: str) -> None:
        """Forget the client; its tokens end. Raises NotFound."""
        async with self._store.transaction() as transaction:
            _, version = await self._existing(transaction, id)
            await transaction.delete(self._record(id, version + 1, "DELETE", b""))

    async def authenticate(self, id: str, secret: str) -> Client:
        """The active client whose secret this is. Raises Unauthenticated, saying no more than that.

        An unknown id costs the same read and the same hash as a known one.
        """
        record = await self._store.read(TYPE, id) if can_be_client(id) else None
        kept = _Kept.of(record) if record is not None and not record.deleted else None
        salt, digest = (kept.salt, kept.digest) if kept else _NOBODY
        matches = hmac.compare_digest(_digest(secret, salt), digest)
        if kept is None or not matches or not kept.client.active:
            raise Unauthenticated("the client id or the client secret is wrong")
        return kept.client

    async def _existing(self, transaction: Transaction, id: str) -> tuple[_Kept, int]:
        record = await transaction.read(TYPE, id)
        if record is None or record.deleted:
            raise NotFound(f"there is no client {id}")
        return _Kept.of(record), record.version

    async def _put(self, transaction: Transaction, client: Client, version: int) -> tuple[Client, str]:
        secret, salt = secrets.token_urlsafe(32), secrets.token_hex(16)
        kept = _Kept(client, salt, _digest(secret, salt))
        record = self._record(client.id, version + 1, "PUT" if version else "POST", kept.content())
        await transaction.put(record, self._rows(client))
        return _Kept.of(record).client, secret

    def _record(self, id: str, version: int, method: str, content: bytes) -> Record:
        updated = int(self._now().timestamp() * 1_000_000)
        return Record(TYPE, id, version, updated, method, content)

    @staticmethod
    def _rows(client: Client) -> IndexValues:
        return index_client({"organization": client.organization})


def _digest(secret: str, salt: str) -> str:
    return hmac.digest(bytes.fromhex(salt), secret.encode(), sha256).hex()
