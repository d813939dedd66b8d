"""Chinese identifiers and their check digits. A check returns the number as it is written officially.

Every fault is a ValueError whose text says which rule is broken and never repeats the number.
Sources: GB 11643 (resident id), GB 32100 (unified social credit code), GB 11714 (organization code),
WS 218 (health institution code).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

USCC = "http://cmc.example.org/sid/uscc"
"""The Identifier.system of 统一社会信用代码, by which organisations are known."""

_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_CHECK = "10X98765432"
_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS = tuple(3**place % 31 for place in range(17))
_ORGANIZATION_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ORGANIZATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)

_RESIDENT = re.compile(r"[1-9]\d{16}[\dX]|[1-9]\d{14}", re.ASCII)
_CREDIT = re.compile(rf"[{_CREDIT_ALPHABET}]{{18}}")
_ORGANIZATION = re.compile(r"([0-9A-Z]{8})-?([0-9X])")
_INSTITUTION = re.compile(r"([0-9A-Z]{8}-?[0-9X])(\d{6})(\d{2})([A-Z]\d{3})(\d)", re.ASCII)


def _weighted(characters: str, weights: Sequence[int], alphabet: str) -> int:
    return sum(alphabet.index(char) * weight for char, weight in zip(characters, weights, strict=True))


# ── residents ─────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Resident:
    """What a resident id says: the 18-character ``id``, the six-digit ``region`` of first registration,
    the birth date, and ``sex`` as a code of administrative-gender (male or female)."""

    id: str
    region: str
    birth_date: date
    sex: str


def resident_check(first17: str) -> str:
    """The check character of the first seventeen digits."""
    return _RESIDENT_CHECK[_weighted(first17, _RESIDENT_WEIGHTS, "0123456789") % 11]


def read_resident_id(text: str) -> Resident:
    """What the resident id ``text`` (18 characters, or 15 of the old form) says. Raises ValueError."""
    number = text.strip().upper()
    if not _RESIDENT.fullmatch(number):
        raise ValueError("a resident id has 18 characters, digits and perhaps a final X, or 15 digits")
    if len(number) == 15:
        number = number[:6] + "19" + number[6:]
        number += resident_check(number)
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        raise ValueError("the birth date inside the resident id is no date") from None
    if resident_check(number[:17]) != number[17]:
        raise ValueError("the check character of the resident id does not match")
    return Resident(number, number[:6], born, "male" if int(number[16]) % 2 else "female")


def check_resident_id(text: str) -> str:
    """The 18-character resident id that ``text`` means. Raises ValueError."""
    return read_resident_id(text).id


# ── organizations ─────────────────────────────────────────────────────────────


def check_uscc(text: str) -> str:
    """The unified social credit code (18 characters). Raises ValueError."""
    code = text.strip().upper()
    if not _CREDIT.fullmatch(code):
        raise ValueError(
            "a unified social credit code has 18 characters: digits and letters without I, O, S, V, Z"
        )
    rest = _weighted(code[:17], _CREDIT_WEIGHTS, _CREDIT_ALPHABET) % 31
    if _CREDIT_ALPHABET[-rest % 31] != code[17]:
        raise ValueError("the check character of the unified social credit code does not match")
    return code


def organization_code(uscc: str) -> str:
    """The nine-character organization code inside a unified social credit code (its places 9 to 17)."""
    return check_organization_code(check_uscc(uscc)[8:17])


def check_organization_code(text: str) -> str:
    """The organization code as nine characters without hyphen. Raises ValueError."""
    match = _ORGANIZATION.fullmatch(text.strip().upper())
    if match is None:
        raise ValueError(
            "an organization code has 8 digits or letters and a check character, a hyphen between or not"
        )
    rest = _weighted(match[1], _ORGANIZATION_WEIGHTS, _ORGANIZATION_ALPHABET) % 11
    if "0X987654321"[rest] != match[2]:
        raise ValueError("the check character of the organization code does not match")
    return match[1] + match[2]


@dataclass(frozen=True, slots=True)
class InstitutionCode:
    """A health institution code (WS 218) in its parts: organization code, region, economic type, class
    (``A100`` general hospital), management type."""

    organization: str
    region: str
    economic_type: str
    institution_class: str
    management_type: str

    def __str__(self) -> str:
        return "".join(
            (self.organization, self.region, self.economic_type, self.institution_class, self.management_type)
        )


def read_institution_code(text: str) -> InstitutionCode:
    """The parts of a health institution code of 22 characters (23 with a hyphen). Raises ValueError."""
    match = _INSTITUTION.fullmatch(text.strip().upper())
    if match is None:
        raise ValueError(
            "a health institution code has 22 characters: organization code 9, region 6, economic type 2, "
            "class 4, management type 1"
        )
    return InstitutionCode(check_organization_code(match[1]), match[2], match[3], match[4], match[5])


def check_institution_code(text: str) -> str:
    """The health institution code as 22 characters without hyphen. Raises ValueError."""
    return str(read_institution_code(text))
