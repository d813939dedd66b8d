"""Request headers as the server understands them: ``Accept``, ``Prefer``, media types, dates.

Header texts repeat from request to request, so what was read from one is remembered.
Source: RFC 9110, RFC 7240; FHIR R4 http.html#general.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import gmtime

from fhir_server.errors import UnsupportedMedia

JSON_TYPES = frozenset({"application/fhir+json", "application/json", "text/json"})
XML_TYPES = frozenset({"application/fhir+xml", "application/xml", "text/xml"})
RESOURCE_TYPES = JSON_TYPES | XML_TYPES
PATCH_TYPES = RESOURCE_TYPES | {"application/json-patch+json", "application/merge-patch+json"}
PATCHES = (
    b"application/json-patch+json, application/merge-patch+json, application/fhir+json, application/fhir+xml"
)
"""``Accept-Patch``: the media types of patches, without the generic names."""
FORM_TYPES = frozenset({"application/x-www-form-urlencoded"})
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
FHIR_VERSIONS = frozenset({"4.0", "4.0.1"})
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Preference:
    """``Prefer``: ``answer`` is minimal, representation or OperationOutcome; ``lenient`` None: not said.

    ``later``: the client would rather be told where to ask later than wait (respond-async).
    """

    answer: str = "representation"
    lenient: bool | None = None
    later: bool = False


_ANSWERS = {"minimal": "minimal", "representation": "representation", "operationoutcome": "OperationOutcome"}
_HANDLINGS = {"strict": False, "lenient": True}


@lru_cache(maxsize=256)
def parse_media_type(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """``application/fhir+json; charset=utf-8`` → the type and its parameters, in lower case."""
    kind, *rest = text.split(";")
    parameters = []
    for piece in rest:
        name, _, value = piece.partition("=")
        parameters.append((name.strip().lower(), value.strip().strip('"').lower()))
    return kind.strip().lower(), tuple(parameters)


@lru_cache(maxsize=256)
def check_content_type(text: str, allowed: frozenset[str]) -> str:
    """The media type in ``text``. Raises UnsupportedMedia unless such a body can be read where ``allowed`` are."""
    kind, parameters = parse_media_type(text)
    if kind not in allowed:
        named = kind or "none"
        raise UnsupportedMedia(
            f"Content-Type {named} cannot be read here; allowed: {', '.join(sorted(allowed))}"
        )
    told = dict(parameters)
    charset, version = told.get("charset", "utf-8"), told.get("fhirversion", "4.0")
    if charset not in _CHARSETS:
        raise UnsupportedMedia(f"charset {charset} cannot be read here; FHIR is UTF-8")
    if version not in FHIR_VERSIONS:
        raise UnsupportedMedia(f"fhirVersion {version} cannot be read here; this server speaks 4.0")
    return kind


@lru_cache(maxsize=256)
def parse_prefer(text: str) -> Preference:
    """The preferences this server knows; others are ignored, as RFC 7240 says."""
    told = {}
    for piece in text.replace(";", ",").split(","):
        name, _, value = piece.partition("=")
        told[name.strip().lower()] = value.strip().strip('"').lower()
    answer = _ANSWERS.get(told.get("return", ""), "representation")
    return Preference(answer, _HANDLINGS.get(told.get("handling", "")), "respond-async" in told)


@lru_cache(maxsize=4096)
def http_date(seconds: int) -> bytes:
    """``Tue, 24 Nov 2026 01:02:03 GMT`` of ``seconds`` since 1970 UTC."""
    moment = gmtime(seconds)
    return b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (
        _DAYS[moment.tm_wday].encode(),
        moment.tm_mday,
        _MONTHS[moment.tm_mon - 1].encode(),
        moment.tm_year,
        moment.tm_hour,
        moment.tm_min,
        moment.tm_sec,
    )


def parse_http_date(text: str) -> int | None:
    """Seconds since 1970 UTC, or None for what is not a date (RFC 9110: ignore the header then)."""
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
