"""``Binary`` in its own media type: what is POSTed or PUT is wrapped into the resource, a read gives it out again.

A generic type (``application/json``, ``text/xml``) is the resource when the body is a Binary, else content like any
other. What is given out is never shown by a browser as a page of this server. Source: FHIR R4 binary.html#rest.
"""

from __future__ import annotations

import base64
import re

import msgspec
import orjson

from fhir_server.errors import NotAcceptable, UnsupportedMedia
from fhir_server.model.resource import Resource
from fhir_server.rest.media import FHIR_JSON, FHIR_TYPES, FHIR_XML, Media, negotiate, ranges, rank

UNKNOWN = "application/octet-stream"
ATTACHED = (
    (b"content-disposition", b"attachment"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
)
"""Headers of content that somebody sent: it is kept, not opened, and may run nothing."""
_BYTE_ORDER = b"\xef\xbb\xbf"
_BEFORE_ROOT = re.compile(rb"\s*(?:<\?.*?\?>|<!--.*?-->)", re.S)
_BINARY = re.compile(rb'\s*(?:\{\s*"resourceType"\s*:\s*"Binary"|<(?:\w+:)?Binary\b)')
_MEDIA_TYPE = re.compile(r"[!#$&^_.+\w-]+/[!#$&^_.+\w-]+(?:;[\x20-\x7e]*)?", re.ASCII)


class SecurityContext(msgspec.Struct):
    """Binary.securityContext, as far as a header can tell it."""

    reference: str = ""


class Content(msgspec.Struct, rename="camel"):
    """The members of a Binary; ``data`` is base64."""

    content_type: str = UNKNOWN
    data: str = ""
    security_context: SecurityContext | None = None

    @property
    def header(self) -> str:
        """``contentType`` as a header may say it."""
        return self.content_type if _MEDIA_TYPE.fullmatch(self.content_type) else UNKNOWN

    @property
    def kind(self) -> str:
        """The media type without parameters."""
        return self.header.partition(";")[0].strip().lower()

    @property
    def bytes(self) -> bytes:
        """What ``data`` means."""
        return base64.b64decode(self.data)

    @property
    def security_reference(self) -> str:
        """What the access rules of the content are those of; "" when it has none of its own."""
        return self.security_context.reference if self.security_context else ""


_content = msgspec.json.Decoder(Content)


def is_binary(raw: bytes) -> bool:
    """True when a JSON or XML body begins as a Binary resource does."""
    start = len(_BYTE_ORDER) if raw.startswith(_BYTE_ORDER) else 0
    while before := _BEFORE_ROOT.match(raw, start):
        start = before.end()
    return _BINARY.match(raw, start) is not None


def wrap(raw: bytes, content_type: str, *, id: str | None, security_context: str | None) -> Resource:
    """The Binary that holds ``raw``. Raises UnsupportedMedia when it does not say what it is."""
    named = " ".join(content_type.split())
    if not named:
        raise UnsupportedMedia(
            "a Binary needs a Content-Type that says what it is; application/octet-stream is one"
        )
    members: dict[str, object] = {"resourceType": "Binary"}
    if id is not None:
        members["id"] = id
    members["contentType"] = named
    if security_context is not None:
        members["securityContext"] = {"reference": security_context}
    if raw:
        members["data"] = base64.b64encode(raw).decode()
    return Resource(orjson.dumps(members), members)


def unwrap(record: bytes) -> Content:
    """The content of a stored Binary."""
    return _content.decode(record)


def resource_form(accept: str | None, kind: str) -> Media | None:
    """The form of the resource that ``Accept`` asks for; None: the content itself, which is of type ``kind``.

    FHIR's own media types ask for the resource, generic ones only where the content does not fit.
    Raises NotAcceptable when neither does.
    """
    if accept is None:
        return None
    asked = ranges(accept)
    exact = {found.kind for found in asked} & FHIR_TYPES
    chosen = rank(asked, {"content": kind, **{name: name for name in (FHIR_JSON, FHIR_XML) if name in exact}})
    if chosen == "content":
        return None
    try:
        return negotiate(accept)
    except NotAcceptable as error:
        allowed = ", ".join((kind, FHIR_JSON, FHIR_XML))
        raise NotAcceptable(f"Accept does not take this Binary; allowed: {allowed}") from error
