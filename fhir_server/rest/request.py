"""One HTTP request to ``/fhir``, read as far as its interaction needs it."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from fhir_server.errors import FhirError, InvalidContent, NotAcceptable, NotImplementedHere
from fhir_server.formats import from_xml
from fhir_server.interactions.context import Server
from fhir_server.model.resource import Resource
from fhir_server.rest.binary import is_binary, wrap
from fhir_server.rest.body import BOM, Receive, read_body
from fhir_server.rest.headers import (
    FORM_TYPES,
    RESOURCE_TYPES,
    XML_TYPES,
    Preference,
    check_content_type,
    parse_media_type,
    parse_prefer,
)
from fhir_server.rest.media import FHIR_JSON, FHIR_TYPES, JSON, Media, format_media, negotiate
from fhir_server.rest.uri import Pairs, split_query
from fhir_server.security.caller import Caller

_NO_PREFERENCE = Preference()
DOOR_PARAMETERS = frozenset({"_format", "_pretty"})
_BOOLEANS = {"true": True, "false": False, "": True}
PLAIN_ACCEPTS = frozenset({None, b"*/*", b"application/fhir+json"})
"""What nearly every client says in ``Accept``: the answer may go out as it is kept."""
LARGE = 65_536
"""Bytes from which a body is converted beside the event loop, so that other clients are answered meanwhile."""


class Request:
    """What the client sent. ``type``, ``id`` and ``last`` (operation or version) are set from the path.

    ``query`` holds the pairs without the door's own parameters (``_format``, ``_pretty``), which are in ``own``;
    ``base`` is the absolute address of ``/fhir``; ``interaction`` and ``pattern`` are what is counted and logged.
    ``media`` is the form of the answer, None until the query has been read.
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
        "media",
        "method",
        "own",
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
        self.media: Media | None = None
        self.query: Pairs = ()
        self.own: Pairs = ()
        self._raw_query: bytes = scope["query_string"]
        self._receive = receive
        self._limit = limit

    def read_query(self) -> None:
        """Take the query apart and choose the form of the answer. Raises FhirError."""
        raw = self._raw_query
        format = self._door_parameters(split_query(raw)) if raw else None
        accept = self.headers.get(b"accept")
        if format is not None:
            self.media = format_media(format)
        elif accept in PLAIN_ACCEPTS:
            self.media = JSON
        else:
            self.media = self._negotiated(str(self.header(b"accept")))
        if b"prefer" in self.headers and self.prefer.later:
            raise NotImplementedHere(
                "this server answers at once: Prefer: respond-async is not possible", expression="http.Prefer"
            )

    def settle_media(self) -> None:
        """Choose the form of an error that came before the query was read; JSON when none can be chosen."""
        if self.media is None:
            with suppress(FhirError):
                self.read_query()
        self.media = self.media or JSON

    @property
    def asks_for_format(self) -> bool:
        """True when ``_format`` has chosen the form of the answer."""
        return any(name == "_format" for name, _ in self.own)

    def _negotiated(self, accept: str) -> Media:
        """The form that ``accept`` asks for; a Binary may be asked for as what it holds (see ``binary``)."""
        try:
            return negotiate(accept)
        except NotAcceptable:
            if self.interaction in {"read", "vread"} and self.type == "Binary":
                return JSON
            raise

    def _door_parameters(self, pairs: Pairs) -> str | None:
        """Keep the pairs that are not the door's own; returns ``_format``. Raises InvalidContent."""
        self.query = pairs
        if DOOR_PARAMETERS.isdisjoint([name for name, _ in pairs]):
            return None
        self.query = tuple(pair for pair in pairs if pair[0] not in DOOR_PARAMETERS)
        self.own = tuple(pair for pair in pairs if pair[0] in DOOR_PARAMETERS)
        own = dict(self.own)
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

    @property
    def content_type(self) -> str:
        """The media type of what ``body`` gives: a resource is FHIR's JSON there, whatever it came as."""
        kind = parse_media_type(self.header(b"content-type") or "")[0]
        return FHIR_JSON if kind in RESOURCE_TYPES else kind

    async def resource(self) -> Resource:
        """The body as a resource; what is sent to ``Binary`` may be anything. Raises FhirError."""
        if self.type == "Binary":
            return await self._binary()
        return _parse(await self.body(RESOURCE_TYPES))

    async def _binary(self) -> Resource:
        """The Binary of a body that is one, or that it shall hold."""
        text = self.header(b"content-type") or ""
        kind = parse_media_type(text)[0]
        if kind in FHIR_TYPES:
            return _parse(await self.body(RESOURCE_TYPES))
        raw = await self.raw_body()
        if kind in RESOURCE_TYPES and is_binary(raw):
            check_content_type(text, RESOURCE_TYPES)
            return _parse(await self._as_json(raw, kind))
        id = self.id if self.pattern == "{type}/{id}" else None
        return wrap(raw, text, id=id, security_context=self.header(b"x-security-context"))

    async def resource_if_any(self) -> Resource | None:
        """The body as a resource, None when there is no body. Raises FhirError."""
        raw = await self.raw_body()
        if not raw:
            return None
        kind = check_content_type(self.header(b"content-type") or "", RESOURCE_TYPES)
        return _parse(await self._as_json(raw, kind))

    async def form(self) -> Pairs:
        """The pairs of the query and, after them, of a form body. Raises FhirError."""
        raw = await self.raw_body()
        if not raw:
            return self.query
        check_content_type(self.header(b"content-type") or "", FORM_TYPES)
        query = self.query
        format = self._door_parameters(split_query(raw, "the form"))
        if format is not None:
            self.media = format_media(format)
        return query + self.query

    async def body(self, allowed: frozenset[str]) -> bytes:
        """The body as JSON, whose Content-Type must be one of ``allowed``; XML becomes JSON. Raises FhirError."""
        kind = check_content_type(self.header(b"content-type") or "", allowed)
        raw = await self.raw_body()
        if not raw.strip():
            raise InvalidContent("the body is empty; a JSON or XML document is expected")
        return await self._as_json(raw, kind)

    async def raw_body(self) -> bytes:
        """The body as it was sent, decompressed. Raises TooLarge, UnsupportedMedia or InvalidContent."""
        return await read_body(self._receive, self.headers, self._limit)

    async def _as_json(self, raw: bytes, kind: str) -> bytes:
        """``raw``, which is of media type ``kind``, as JSON without a byte order mark. Raises InvalidContent."""
        if kind not in XML_TYPES:
            return raw.removeprefix(BOM)
        definitions = self.server.definitions
        if len(raw) < LARGE:
            return from_xml(definitions, raw)
        return await to_thread(from_xml, definitions, raw)


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
