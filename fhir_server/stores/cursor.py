"""Positions in a result, as an opaque text with a checksum. Only the store makes and reads them."""

from __future__ import annotations

import base64
import binascii
from functools import cache
from hashlib import blake2b
from typing import Annotated, Any, Final, TypeVar

import msgspec
import orjson

from fhir_server.errors import InvalidSearch
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.query import Query
from fhir_server.search.remembered import Remembered
from fhir_server.search.values import Looked

DAMAGED: Final = "the page link is damaged or belongs to another search: start again from the first page"
_CHECK: Final = 6

LONGEST: Final = 4_096
"""Bytes of a context that is worth remembering: hostile searches must not fill the memory."""
_contexts: Remembered[tuple[Query, bytes]] = Remembered()
"""Of queries that were asked lately, by their id: the same search comes with the same object."""

Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Key = Number | float | str | None


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of a search begins: after the row whose sort values, date and rid are ``keys``.

    ``sequence`` and ``rid`` are the moment of the first page (``past.Moment``), ``total`` what it counted.
    """

    sequence: Number
    rid: Number
    total: Number | None
    keys: list[Key]


class Before(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of a history begins: before the write ``last``. ``sequence`` and ``total`` as in Place."""

    sequence: Number
    total: Number | None
    last: Number


P = TypeVar("P", Place, Before)


def write_cursor(context: bytes, place: Place | Before) -> str:
    """The cursor of ``place`` in the result that ``context`` names."""
    body = msgspec.msgpack.encode(place)
    return base64.urlsafe_b64encode(_check(context, body) + body).decode().rstrip("=")


def read_cursor(context: bytes, cursor: str, kind: type[P]) -> P:
    """The place in ``cursor``. Raises InvalidSearch when it was not made for ``context`` by ``write_cursor``."""
    try:
        text = cursor.encode("ascii")
        packed = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        packed = b""
    check, body = packed[:_CHECK], packed[_CHECK:]
    if not body or check != _check(context, body):
        raise InvalidSearch(DAMAGED, expression="http._cursor")
    try:
        place: P = _decoder(kind).decode(body)
    except msgspec.DecodeError as error:
        raise InvalidSearch(DAMAGED, expression="http._cursor") from error
    return place


def context_of(query: Query) -> bytes:
    """What a cursor of ``query`` belongs to: the same type, criteria and order, in every process and at any time."""
    known = _contexts.recall(id(query))
    if known is not None and known[0] is query:
        return known[1]
    context = _context(query)
    if len(context) <= LONGEST:
        _contexts.keep(id(query), (query, context))
    return context


def is_short(query: Query) -> bool:
    """True when ``query`` is worth remembering."""
    return all(len(context_of(part)) <= LONGEST for part in query.parts or (query,))


def _context(query: Query) -> bytes:
    said = [query.type, [(key.parameter.code, key.descending) for key in query.sort], query.clauses]
    return orjson.dumps(said, default=_said, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def _said(value: Any) -> Any:
    """What distinguishes ``value``. The range of ``ap`` moves with the clock: the same search, nevertheless. So it is
    with what other resources gave; a quantity in other units is the same one."""
    if isinstance(value, SearchParameter):
        return f"{value.type}.{value.code}"
    if isinstance(value, Looked):
        return value.said
    if isinstance(value, tuple | frozenset):
        return sorted(value) if isinstance(value, frozenset) else list(value)
    if getattr(value, "prefix", "") == "ap":
        return "ap"
    return [type(value).__name__, *(getattr(value, name) for name in value.__slots__ if name != "others")]


def _check(context: bytes, body: bytes) -> bytes:
    return blake2b(b"%d %b%b" % (len(context), context, body), digest_size=_CHECK).digest()


@cache
def _decoder(kind: type[P]) -> msgspec.msgpack.Decoder[P]:
    return msgspec.msgpack.Decoder(kind)
