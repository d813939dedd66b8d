"""The search parameters that this server knows, by resource type and code."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b


def arm_key(type: str, path: str, kind: str) -> int:
    """The stable 31-bit number under which the values of one arm are kept."""
    digest = blake2b(f"{type}|{path}|{kind}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """A search parameter as it applies to one resource type.

    ``kind`` is number | date | string | token | reference | composite | quantity | uri | special.
    ``keys`` are the arms whose rows hold its values. ``target`` restricts a reference parameter
    that shares an arm (``patient`` reads ``subject``'s rows of type Patient); ``system`` a token
    parameter that does (``phone`` reads ``telecom``'s rows of system phone).
    ``targets`` are the types a reference may point to. ``column`` is "id", "updated" or None: the
    parameters ``_id`` and ``_lastUpdated`` are columns of every record.
    """

    type: str
    code: str
    kind: str
    url: str
    expression: str
    keys: tuple[int, ...]
    target: str | None = None
    system: str | None = None
    targets: tuple[str, ...] = ()
    components: tuple[SearchParameter, ...] = ()
    column: str | None = None
