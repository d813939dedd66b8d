"""Request headers as the server understands them: ``Accept``, ``Prefer``, media types, dates.

Header texts repeat from request to request, so what was read from one is remembered.
Source: RFC 9110, RFC 7240; FHIR R4 http.html#general.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import gmtime

from fhir_server.errors import NotAcceptable, UnsupportedMedia

JSON_TYPES = frozenset({"application/fhir+json", "application/json"})
PATCH_TYPES = frozenset({"application/json-patch+json"})
FORM_TYPES = frozenset({"application/x-www-form-urlencoded"})
_JSON_FORMATS = JSON_TYPES | {"json", "text/json", "application/fhir json"}
_JSON_RANGES = JSON_TYPES | {"text/json", "application/*", "*/*"}
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_FHIR_VERSIONS = frozenset({"4.0", "4.0.1"})
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Preference:
    """``Prefer``: ``answer`` is minimal, representation or OperationOutcome; ``lenient`` None: not said."""

    answer: str = "representation"
    lenient: bool | None = None


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
def check_content_type(text: str, allowed: frozenset[str]) -> None:
    """Raises UnsupportedMedia unless a body of this ``Content-Type`` can be read where ``allowed`` are."""
    kind, parameters = parse_media_type(text)
    if kind not in allowed:
        named = kind or "none"
        raise UnsupportedMedia(
            f"Content-Type {named} cannot be read here; allowed: {', '.join(sorted(allowed))}"
        )
    charset = dict(parameters).get("charset", "utf-8")
    if charset not in _CHARSETS:
        raise UnsupportedMedia(f"charset {charset} cannot be read here; FHIR's JSON is UTF-8")


@lru_cache(maxsize=256)
def check_format(format: str) -> None:
    """Raises NotAcceptable unless ``_format`` asks for JSON."""
    if parse_media_type(format)[0] not in _JSON_FORMATS:
        raise NotAcceptable(f"_format {format} cannot be made here; allowed: json, application/fhir+json")


@lru_cache(maxsize=1024)
def check_accept(accept: str) -> None:
    """Raises NotAcceptable unless one of the ranges in ``Accept`` is JSON (of R4)."""
    if not any(_is_ours(media_range) for media_range in accept.split(",")):
        raise NotAcceptable("none of the formats in Accept can be made here; allowed: application/fhir+json")


def _is_ours(media_range: str) -> bool:
    kind, parameters = parse_media_type(media_range)
    told = dict(parameters)
    refused = told.get("q", "1").rstrip("0").rstrip(".") in {"0", ""}
    return kind in _JSON_RANGES and not refused and told.get("fhirversion", "4.0") in _FHIR_VERSIONS


@lru_cache(maxsize=256)
def parse_prefer(text: str) -> Preference:
    """The preferences this server knows; others are ignored, as RFC 7240 says."""
    told = {}
    for piece in text.replace(";", ",").split(","):
        name, _, value = piece.partition("=")
        told[name.strip().lower()] = value.strip().strip('"').lower()
    answer = _ANSWERS.get(told.get("return", ""), "representation")
    return Preference(answer, _HANDLINGS.get(told.get("handling", "")))


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
