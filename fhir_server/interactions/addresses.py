"""``Bundle.entry.request.url``: what it names, and which interaction a method means there.

Source: FHIR R4 bundle-definitions.html#Bundle.entry.request.url, http.html#transaction, http.html#summary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from fhir_server.errors import NotFound, NotSupported


class Address(NamedTuple):
    """A ``request.url``, below the base and taken apart.

    ``member`` is the type asked for in the compartment of ``type/id`` (``*``: all), ``operation`` the code of a
    $operation, ``query`` what follows ``?`` (None without one). Only the CapabilityStatement is ``metadata``.
    """

    type: str | None = None
    id: str | None = None
    version: str | None = None
    history: bool = False
    query: str | None = None
    member: str | None = None
    operation: str | None = None
    metadata: bool = False


_ID = r"[A-Za-z0-9\-.]{1,64}"
_PATH = re.compile(
    rf"(?P<type>[A-Za-z]+)?(?:/(?P<id>{_ID})(?:/(?P<member>[A-Za-z]+|\*))?)?"
    rf"(?:(?:^|/)(?:(?P<history>_history)(?:/(?P<version>{_ID}))?|\$(?P<operation>[A-Za-z][A-Za-z0-9\-]*)))?"
)
NOWHERE = Address()


def parse_address(url: str, base: str) -> Address:
    """``Patient/1``, ``Patient?name=x``, ``Patient/1/_history/2``, ``Task/1/$accept`` …, also below ``base`` or after
    a slash.

    Raises NotFound for what is no address of this server.
    """
    path, mark, query = url.removeprefix(base).removeprefix("/").partition("?")
    asked = query if mark else None
    if path == "metadata":
        return Address(query=asked, metadata=True)
    match = _PATH.fullmatch(unquote(path))
    if match is None or not (path or mark):
        raise NotFound(
            f"{url[:200]!r} is no address of a resource, of resources or of an operation",
            expression="http.url",
        )
    return Address(
        match["type"],
        match["id"],
        match["version"],
        bool(match["history"]),
        asked,
        match["member"],
        match["operation"],
    )


def interaction_at(method: str, address: Address) -> str:
    """The interaction that ``method`` means at ``address``. Raises NotSupported."""
    shape = _shape(address)
    found = INTERACTIONS.get(("GET" if method == "HEAD" else method, shape))
    if found is None:
        raise NotSupported(f"a Bundle cannot {method} {shape or 'this address'}", expression="http.url")
    if address.query and (found not in HEEDED or (address.id and found in CONDITIONAL)):
        raise NotSupported(f"a Bundle cannot {method} {shape} with parameters", expression="http.url")
    return found


def _shape(address: Address) -> str:
    return next((name for name, fits in SHAPES if fits(address)), "")


CONDITIONAL = frozenset({"update", "patch", "delete"})
"""Interactions whose parameters are criteria that stand in the place of the id."""

HEEDED = CONDITIONAL | {"operation", "read", "vread", "search", "history"}
"""Interactions that heed the parameters of the address. With any other they are refused: never ignored in silence."""

SHAPES: Sequence[tuple[str, Callable[[Address], bool]]] = (
    ("the CapabilityStatement", lambda at: at.metadata),
    ("an operation", lambda at: at.operation is not None and at.member is None),
    ("", lambda at: at.member is not None and (at.operation is not None or at.history)),
    ("a version", lambda at: at.version is not None and at.id is not None),
    ("", lambda at: at.version is not None),
    ("the history of a resource", lambda at: at.history and at.id is not None),
    ("a history", lambda at: at.history),
    ("a compartment", lambda at: at.member is not None),
    ("a resource", lambda at: at.id is not None),
    ("all types by criteria", lambda at: at.type is None),
    ("a type by criteria", lambda at: bool(at.query)),
    ("a type", lambda at: True),
)
"""The first that fits says what an address names; "" is nothing that this server has."""

INTERACTIONS: Mapping[tuple[str, str], str] = {
    ("POST", "a type"): "create",
    ("PUT", "a resource"): "update",
    ("PUT", "a type by criteria"): "update",
    ("PATCH", "a resource"): "patch",
    ("PATCH", "a type by criteria"): "patch",
    ("DELETE", "a resource"): "delete",
    ("DELETE", "a type by criteria"): "delete",
    ("DELETE", "the history of a resource"): "delete-history",
    ("DELETE", "a version"): "delete-history",
    ("POST", "an operation"): "operation",
    ("GET", "an operation"): "operation",
    ("GET", "a resource"): "read",
    ("GET", "a version"): "vread",
    ("GET", "the history of a resource"): "history",
    ("GET", "a history"): "history",
    ("GET", "a type"): "search",
    ("GET", "a type by criteria"): "search",
    ("GET", "all types by criteria"): "search",
    ("GET", "a compartment"): "search",
    ("GET", "the CapabilityStatement"): "capabilities",
}
"""Method and shape of the address → interaction. HEAD is GET without the resource."""
