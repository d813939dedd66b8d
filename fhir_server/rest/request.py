"""One HTTP request to ``/fhir``, read as far as its interaction needs it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from fhir_server.errors import InvalidContent
from fhir_server.interactions.context import Server
from fhir_server.model.resource import Resource
from fhir_server.rest.body import BOM, Receive, read_body
from fhir_server.rest.headers import (
    FORM_TYPES,
    JSON_TYPES,
    Preference,
    check_accept,
    check_content_type,
    check_format,
    parse_prefer,
)
from fhir_server.rest.uri import Pairs, split_query
from fhir_server.security.caller import Caller

_NO_PREFERENCE = Preference()
DOOR_PARAMETERS = frozenset({"_format", "_pretty"})
_BOOLEANS = {"true": True, "false": False, "": True}


class Request:
    """What the client sent. ``type``, ``id`` and ``last`` (operation or version) are set from the path.

    ``query`` holds the pairs without the door's own parameters (``_format``, ``_pretty``); ``base`` is
    the absolute address of ``/fhir``; ``interaction`` and ``pattern`` are what is counted and logged.
    """

    __slots__ = (
        "_limit",
        "_raw_query",
        "_receive",
        "base",
        "caller",
        "headers",
        "id",
        "interaction",
        "last",
        "method",
        "path",
        "pattern",
        "pretty",
        "query",
        "request_id",
        "scheme",
        "server",
        "type",
    )

    base: str
    caller: Caller
    request_id: str
    type: str
    id: str
    last: str

    def __init__(self, server: Server, scope: MutableMapping[str, Any], receive: Receive, limit: int) -> None:
        self.server = server
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        self.scheme: str = scope["scheme"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.interaction = "none"
        self.pattern = "none"
        self.pretty = False
        self.query: Pairs = ()
        self._raw_query: bytes = scope["query_string"]
        self._receive = receive
        self._limit = limit

    def read_query(self) -> None:
        """Take the query apart and check that the answer's format can be made. Raises FhirError."""
        raw = self._raw_query
        format = self._door_parameters(split_query(raw)) if raw else None
        accept = self.headers.get(b"accept")
        if format is not None:
            check_format(format)
        elif accept is not None and accept != b"*/*":
            check_accept(accept.decode("latin-1"))

    def _door_parameters(self, pairs: Pairs) -> str | None:
        """Keep the pairs that are not the door's own; returns ``_format``. Raises InvalidContent."""
        self.query = pairs
        if DOOR_PARAMETERS.isdisjoint([name for name, _ in pairs]):
            return None
        self.query = tuple(pair for pair in pairs if pair[0] not in DOOR_PARAMETERS)
        own = dict(pairs)
        pretty = own.get("_pretty", "false")
        if pretty not in _BOOLEANS:
            raise InvalidContent("_pretty is true or false", expression="http._pretty")
        self.pretty = _BOOLEANS[pretty]
        return own.get("_format")

    def header(self, name: bytes) -> str | None:
        """The header ``name`` (lower case), or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def prefer(self) -> Preference:
        """What the client said in ``Prefer``."""
        text = self.headers.get(b"prefer")
        return _NO_PREFERENCE if text is None else parse_prefer(text.decode("latin-1"))

    async def resource(self) -> Resource:
        """The body as a resource. Raises FhirError."""
        return _parse(await self.body(JSON_TYPES))

    async def resource_if_any(self) -> Resource | None:
        """The body as a resource, None when there is no body. Raises FhirError."""
        raw = await read_body(self._receive, self.headers, self._limit)
        if not raw:
            return None
        check_content_type(self.header(b"content-type") or "", JSON_TYPES)
        return _parse(raw)

    async def form(self) -> Pairs:
        """The pairs of the query and, after them, of a form body. Raises FhirError."""
        raw = await read_body(self._receive, self.headers, self._limit)
        if not raw:
            return self.query
        check_content_type(self.header(b"content-type") or "", FORM_TYPES)
        query = self.query
        format = self._door_parameters(split_query(raw, "the form"))
        if format is not None:
            check_format(format)
        return query + self.query

    async def body(self, allowed: frozenset[str]) -> bytes:
        """The body, whose Content-Type must be one of ``allowed``, without a byte order mark. Raises FhirError."""
        check_content_type(self.header(b"content-type") or "", allowed)
        raw = await read_body(self._receive, self.headers, self._limit)
        if not raw.strip():
            raise InvalidContent("the body is empty; a JSON document is expected")
        return raw.removeprefix(BOM)


def _parse(raw: bytes) -> Resource:
    """``raw`` as a resource; when its encoding is at fault, the error names the byte. Raises InvalidContent."""
    try:
        return Resource.parse(raw)
    except InvalidContent:
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise InvalidContent(
                f"the body is not UTF-8: byte {error.start} cannot be read; "
                "FHIR's JSON is UTF-8, not GBK or GB18030"
            ) from error
        raise
