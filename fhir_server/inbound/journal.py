"""The journal of messages: each is kept, as it came, before anything is done with it.

A message is an internal ``_Message`` record; no door of FHIR serves it. Version 1 holds the bytes, later
versions what became of them. A status moves once from ``received`` to where the message ended:

``processed``    written; ``references`` say what
``quarantined``  nothing written; ``reasons`` say why; it can be replayed or discarded
``ignored``      of a kind that the HIS's folder leaves aside on purpose
``discarded``    given up by a person, with a reason
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from fhir_server.errors import Issue
from fhir_server.model.resource import Json
from fhir_server.search.index import DateRow, IndexValues, TokenRow
from fhir_server.search.query import Clause, Query, SortKey, TokenValue
from fhir_server.search.registry import SearchParameter, arm_key
from fhir_server.store import Page, Reading, Record, Transaction

TYPE = "_Message"
FINAL = frozenset({"processed", "ignored", "discarded"})


def _parameter(code: str, kind: str = "token") -> SearchParameter:
    return SearchParameter(TYPE, code, kind, "", code, (arm_key(TYPE, code, kind),))


STATUS, HIS, CONTROL, RULE = (_parameter(code) for code in ("status", "his", "control", "rule"))
RECEIVED = _parameter("received", "date")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the journal.

    ``received`` is in microseconds since 1970 UTC; ``peer`` the address or client it came from; ``ack`` the
    acknowledgement it got (AA, AE, AR; "" as long as it has none) with ``http``, the status that goes with it;
    ``version`` is the record's (0: not kept yet).
    """

    id: str
    his: str
    sender: str
    control: str
    kind: str
    digest: str
    received: int
    peer: str
    content_type: str | None
    status: str = "received"
    attempts: int = 0
    ack: str = ""
    http: int = 0
    map: str | None = None
    reasons: tuple[Issue, ...] = ()
    references: tuple[str, ...] = ()
    discarded: str | None = None
    version: int = 0
    raw: bytes = field(default=b"", repr=False)

    def settled(self, status: str, **changes: Any) -> Message:
        """The message after one more attempt, with what became of it."""
        return replace(self, status=status, attempts=self.attempts + 1, raw=b"", **changes)


def index_message(data: Json) -> IndexValues:
    """The index rows of a ``_Message`` record: status, HIS, control id, rules of its reasons, and its time."""
    rules = dict.fromkeys(reason["rule"] for reason in data["reasons"] if reason["rule"])
    pairs = [(STATUS, data["status"]), (HIS, data["his"]), (CONTROL, data["control"])]
    pairs += [(RULE, rule) for rule in rules]
    tokens = [TokenRow(parameter.keys[0], code, "") for parameter, code in pairs]
    received = data["received"]
    dates = [DateRow(RECEIVED.keys[0], received, received + 1, 3)]
    return IndexValues(date=received, tokens=tokens, dates=dates)


async def write(transaction: Transaction, message: Message, now: int) -> Message:
    """Keep ``message`` as the version after its own. Raises Conflict when another has written it meanwhile."""
    data = _as_json(message)
    version = message.version + 1
    method = "POST" if version == 1 else "PUT"
    record = Record(TYPE, message.id, version, now, method, orjson.dumps(data))
    await transaction.put(record, index_message(data))
    return replace(message, version=version)


async def read(reading: Reading, id: str) -> Message | None:
    """The message with this id as it stands, without its bytes; None when there is none."""
    record = await reading.read(TYPE, id)
    return None if record is None or record.deleted else _from_record(record)


async def read_raw(reading: Reading, message: Message) -> bytes:
    """The bytes of ``message`` as they came."""
    record = await reading.read_version(TYPE, message.id, 1)
    assert record is not None
    return _from_record(record).raw


async def find(
    reading: Reading,
    status: str,
    *,
    his: str | None = None,
    rule: str | None = None,
    count: int = 100,
    cursor: str | None = None,
    total: bool = False,
) -> tuple[list[Message], Page]:
    """A page of messages with this status, oldest first, without their bytes."""
    wanted = ((STATUS, status), (HIS, his), (RULE, rule))
    clauses = tuple(
        Clause(parameter, None, (TokenValue(None, value),))
        for parameter, value in wanted
        if value is not None
    )
    sort = (SortKey(RECEIVED, descending=False),)
    asked = "accurate" if total else "none"
    page = await reading.search(Query(TYPE, clauses, sort, count=count, cursor=cursor, total=asked))
    return [_from_record(record) for record in page.records], page


async def find_ids(
    reading: Reading, status: str, *, his: str | None = None, rule: str | None = None
) -> list[str]:
    """The ids of all messages with this status, oldest first."""
    ids: list[str] = []
    cursor = None
    while True:
        messages, page = await find(reading, status, his=his, rule=rule, count=500, cursor=cursor)
        ids += [message.id for message in messages]
        if page.next is None:
            return ids
        cursor = page.next


def reasons_as_json(reasons: Sequence[Issue]) -> list[Json]:
    """Issues as the journal keeps and the quarantine shows them."""
    return [asdict(reason) for reason in reasons]


def _as_json(message: Message) -> Json:
    data = {name: getattr(message, name) for name in _KEPT}
    data["reasons"] = reasons_as_json(message.reasons)
    if message.raw or message.version == 0:
        data["raw"] = base64.b64encode(message.raw).decode()
    return data


_KEPT = tuple(
    name for name in Message.__dataclass_fields__ if name not in {"id", "version", "raw", "reasons"}
)


def _from_record(record: Record) -> Message:
    data = orjson.loads(record.content)
    raw = base64.b64decode(data.pop("raw", ""))
    reasons = tuple(Issue(**reason) for reason in data.pop("reasons"))
    references = tuple(data.pop("references"))
    return Message(
        **data, id=record.id, version=record.version, raw=raw, reasons=reasons, references=references
    )
