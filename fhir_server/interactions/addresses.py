"""``Bundle.entry.request.url``: what it names, and which interaction a method means there.

Source: FHIR R4 bundle-definitions.html#Bundle.entry.request.url, http.html#transaction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from fhir_server.errors import NotFound, NotSupported


class Address(NamedTuple):
    """A ``request.url``, below the base and taken apart. ``query`` is what follows ``?`` (None without one)."""

    type: str | None
    id: str | None
    version: str | None
    history: bool
    query: str | None


_PATH = re.compile(
    r"(?P<type>[A-Za-z]+)?(?:/(?P<id>[A-Za-z0-9\-.]{1,64}))?"
    r"(?:(?:^|/)(?P<history>_history)(?:/(?P<version>[A-Za-z0-9\-.]{1,64}))?)?"
)
NOWHERE = Address(None, None, None, False, None)


def parse_address(url: str, base: str) -> Address:
    """``Patient/1``, ``Patient?name=x``, ``Patient/1/_history/2``, also below ``base`` or after a slash.

    Raises NotFound for what is no address of resources.
    """
    path, mark, query = url.removeprefix(base).removeprefix("/").partition("?")
    match = _PATH.fullmatch(unquote(path))
    if not path or match is None:
        raise NotFound(f"{url[:200]!r} is no address of a resource or of resources", expression="http.url")
    return Address(
        match["type"], match["id"], match["version"], bool(match["history"]), query if mark else None
    )


def interaction_at(method: str, address: Address) -> str:
    """The interaction that ``method`` means at ``address``. Raises NotSupported."""
    kind = (method, _shape(address))
    if kind not in INTERACTIONS:
        raise NotSupported(f"a Bundle cannot {method} {kind[1] or 'this address'}", expression="http.url")
    return INTERACTIONS[kind]


def _shape(address: Address) -> str:
    if address.history:
        return "version" if address.version and address.id else "history"
    if address.id is not None:
        return "instance" if address.query is None else "one resource with a query"
    return "criteria" if address.query is not None else "type"


INTERACTIONS: Mapping[tuple[str, str], str] = {
    ("POST", "type"): "create",
    ("PUT", "instance"): "update",
    ("PUT", "criteria"): "update",
    ("PATCH", "instance"): "patch",
    ("DELETE", "instance"): "delete",
    **{(method, "instance"): "read" for method in ("GET", "HEAD")},
    **{(method, "version"): "vread" for method in ("GET", "HEAD")},
    **{(method, "history"): "history" for method in ("GET", "HEAD")},
    **{(method, "criteria"): "search" for method in ("GET", "HEAD")},
    **{(method, "type"): "search" for method in ("GET", "HEAD")},
}
"""Method and shape of the address → interaction."""
