"""The named functions a mapping may ``apply`` to a text, and the checks it may ask for.

Each takes the text and gives the new text, or None when there is none of what it looks for. They know no hospital.
Adding one here adds it to the schema's list of allowed names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from urllib.parse import urlsplit

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_COMPARATORS = {"<": "<", "≤": "<=", "<=": "<=", ">": ">", "≥": ">=", ">=": ">=", "＜": "<", "＞": ">"}
_QUANTITY = re.compile(rf"(<=|>=|[<>≤≥＜＞])?\s*({_NUMBER})", re.ASCII)
_RANGE = re.compile(rf"({_NUMBER})\s*(?:-|~|～|—|–|至)\s*(-?)({_NUMBER})", re.ASCII)


def halfwidth(text: str) -> str:
    """Full-width letters, digits and signs (ＡＢ１２) as ASCII; Chinese characters stay (NFKC would fold variants)."""
    return "".join(unicodedata.normalize("NFKC", sign) if "！" <= sign <= "～" else sign for sign in text)


def number(text: str) -> str | None:
    """The number of a result (``<0.01`` gives 0.01, ``3.10`` stays 3.10), None when it is not one."""
    match = _QUANTITY.fullmatch(text)
    return _json_number(match[2]) if match else None


def comparator(text: str) -> str | None:
    """The FHIR comparator of a result: ``<``, ``<=``, ``>=`` or ``>``, None when it has none."""
    match = _QUANTITY.fullmatch(text)
    return _COMPARATORS[match[1]] if match and match[1] else None


def range_low(text: str) -> str | None:
    """The lower limit of ``3.5-5.3``, ``3.5～5.3`` or ``>=60``, None when there is none."""
    both = _range(text)
    if both:
        return both[0]
    return number(text) if (comparator(text) or "").startswith(">") else None


def range_high(text: str) -> str | None:
    """The upper limit of ``3.5-5.3`` or ``<0.04``, None when there is none."""
    both = _range(text)
    if both:
        return both[1]
    return number(text) if (comparator(text) or "").startswith("<") else None


def _range(text: str) -> tuple[str, str] | None:
    """Both limits, the lower first. ``3.5--5.3`` has two hyphens between its limits, ``-5--2`` a negative limit."""
    match = _RANGE.fullmatch(text)
    if not match:
        return None
    low = _json_number(match[1])
    highs = (_json_number(match[2] + match[3]), _json_number(match[3]))
    return next(((low, high) for high in highs if Decimal(low) <= Decimal(high)), None)


def public_url(text: str) -> str | None:
    """A web address without what could carry a key (user, fragment, parameters); None when it is not http(s).

    Only query parameters that name the study are kept (``acc``, ``accession``, ``study``, ``studyuid`` …).
    """
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    kept = [pair for pair in parts.query.split("&") if pair.partition("=")[0].lower() in _STUDY_PARAMETERS]
    query = f"?{'&'.join(kept)}" if kept else ""
    path = parts.path.partition(";")[0]
    return f"{parts.scheme}://{parts.hostname}{port}{path}{query}"


_STUDY_PARAMETERS = frozenset(
    {"acc", "accession", "accessionnumber", "study", "studyuid", "studyinstanceuid"}
)


def _json_number(text: str) -> str:
    """``text`` with no more change than JSON wants: no plus, no leading zeros, a digit on both sides of the point."""
    sign = "-" if text.startswith("-") else ""
    whole, point, fraction = text.lstrip("+-").partition(".")
    return f"{sign}{whole.lstrip('0') or '0'}{point if fraction else ''}{fraction}"


FUNCTIONS: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {
        "upper": str.upper,
        "lower": str.lower,
        "halfwidth": halfwidth,
        "number": number,
        "comparator": comparator,
        "range-low": range_low,
        "range-high": range_high,
        "public-url": public_url,
    }
)
