"""Which form the client wants its answer in, from ``Accept`` and ``_format``.

A generic media type (``application/json``, ``text/xml``) means the FHIR form and is answered under the name that was
asked for. Headers repeat from request to request, so what was read from one is remembered.
Source: RFC 9110 §12; FHIR R4 http.html#mime-type, http.html#version-parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from fhir_server.errors import NotAcceptable
from fhir_server.rest.headers import FHIR_VERSIONS, parse_media_type

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
FHIR_TYPES = frozenset({FHIR_JSON, FHIR_XML})
GENERIC = {
    "application/json": FHIR_JSON,
    "text/json": FHIR_JSON,
    "application/xml": FHIR_XML,
    "text/xml": FHIR_XML,
}
"""Media types that say nothing of FHIR → the one that they are taken for."""
FORMATS = {"json": FHIR_JSON, "xml": FHIR_XML, FHIR_JSON: FHIR_JSON, FHIR_XML: FHIR_XML, **GENERIC}
"""What ``_format`` may be → the media type that it asks for."""
ANYTHING = "*/*"
SHORT = 256
"""Characters of an ``Accept`` that is worth remembering; longer ones must not fill the memory."""
_ALLOWED = f"{FHIR_JSON}, {FHIR_XML}"


class Media(msgspec.Struct, frozen=True, gc=False):
    """The form of an answer: its resources are XML or JSON, named ``content_type`` in its header."""

    is_xml: bool
    content_type: bytes


class Range(msgspec.Struct, frozen=True, gc=False):
    """One media range of an ``Accept``: ``weight`` is its q, ``version`` the fhirVersion that it names."""

    kind: str
    weight: float
    version: str

    def fit(self, kind: str) -> int:
        """How closely the range fits ``kind``: 3 by name, 2 by type, 1 by ``*/*``, 0 not at all."""
        if self.kind == kind:
            return 3
        if self.kind == f"{kind.partition('/')[0]}/*":
            return 2
        return 1 if self.kind == ANYTHING else 0


def _media(kind: str, version: str = "") -> Media:
    named = f"{kind}; fhirVersion={version}" if version else kind
    return Media(GENERIC.get(kind, kind) == FHIR_XML, f"{named}; charset=utf-8".encode())


JSON = _media(FHIR_JSON)
"""What is answered when nothing is asked for."""


def ranges(accept: str) -> tuple[Range, ...]:
    """The media ranges of ``Accept`` that R4 can answer, in order."""
    read = map(_range, accept.split(","))
    return tuple(found for found in read if not found.version or found.version in FHIR_VERSIONS)


def _range(text: str) -> Range:
    kind, parameters = parse_media_type(text)
    told = dict(parameters)
    try:
        weight = float(told.get("q", "1"))
    except ValueError:
        weight = 1.0
    return Range(kind, weight, told.get("fhirversion", ""))


def rank(asked: Sequence[Range], kinds: Mapping[str, str]) -> str | None:
    """The name of ``kinds`` (name → media type) that the ranges like best, None when they take none.

    By weight, then by how closely it is named, then by the order of the ranges, then in ``kinds``.
    """
    best: tuple[float, int, int] = (0.0, 0, 0)
    chosen = None
    for name, kind in kinds.items():
        score = _score(asked, kind)
        if score[0] > 0 and score > best:
            best, chosen = score, name
    return chosen


def _score(asked: Sequence[Range], kind: str) -> tuple[float, int, int]:
    """Weight, closeness and place of the range that speaks for ``kind``: the closest one (RFC 9110 §12.5.1)."""
    fits = [(found.fit(kind), -place, found.weight) for place, found in enumerate(asked)]
    fit, place, weight = max(fits, default=(0, 0, 0.0))
    return (weight, fit, place) if fit else (0.0, 0, 0)


def negotiate(accept: str) -> Media:
    """The form that ``Accept`` likes best. Raises NotAcceptable when there is none that can be made."""
    return _negotiate_short(accept) if len(accept) <= SHORT else _negotiate(accept)


def _negotiate(accept: str) -> Media:
    asked = ranges(accept)
    named = {found.kind for found in asked}
    kinds = [FHIR_JSON, FHIR_XML, *(kind for kind in GENERIC if kind in named)]
    chosen = rank(asked, {kind: kind for kind in kinds})
    if chosen is None:
        raise NotAcceptable(f"none of the formats in Accept can be made here; allowed: {_ALLOWED}")
    version = next((found.version for found in asked if found.kind == chosen), "")
    return _media(chosen, version) if version or chosen != FHIR_JSON else JSON


_negotiate_short = lru_cache(maxsize=1024)(_negotiate)


def format_media(format: str) -> Media:
    """The form that ``_format`` names. Raises NotAcceptable when it cannot be made."""
    kind, parameters = parse_media_type(format.replace("fhir ", "fhir+"))
    version = dict(parameters).get("fhirversion", "")
    if kind not in FORMATS or (version and version not in FHIR_VERSIONS):
        raise NotAcceptable(
            f"_format {format[:64]} cannot be made here; allowed: json, xml, {_ALLOWED}",
            expression="http._format",
        )
    return _media(FORMATS[kind], version) if version or FORMATS[kind] != FHIR_JSON else JSON
