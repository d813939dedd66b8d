"""A batch or transaction Bundle, read once: each entry keeps its own bytes.

A 70 MB Bundle is never parsed as one tree: it is split, and each entry is parsed in its turn.

Source: FHIR R4 bundle.html, http.html#transaction.
"""

from __future__ import annotations

import re
from base64 import b64decode
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from fhir_server.errors import FhirError, InvalidContent, Issue, NotFound, NotSupported
from fhir_server.interactions.context import Server
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.write import require_type, require_valid
from fhir_server.model.resource import Json, Resource, parse_json

Raw = msgspec.Raw
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])


class Address(NamedTuple):
    """A ``request.url``, below the base and taken apart. ``query`` is what follows ``?`` (None without one)."""

    type: str | None
    id: str | None
    version: str | None
    history: bool
    query: str | None


@dataclass(slots=True)
class Entry:
    """One entry. ``interaction`` is create, update, patch, delete, read, vread, search or history.

    ``error`` says why the entry cannot be carried out, before anything was tried. ``resource`` has
    the entry's own bytes; ``references`` are the texts of its references; ``warnings`` what its
    content was told short of an error.
    """

    index: int
    full_url: str | None
    method: str
    interaction: str
    address: Address
    resource: Resource | None
    if_match: str | None = None
    if_none_match: str | None = None
    if_none_exist: str | None = None
    error: FhirError | None = None
    references: frozenset[str] = frozenset()
    warnings: tuple[Issue, ...] = ()

    @property
    def type(self) -> str:
        """The resource type its URL names."""
        return self.address.type or ""

    @property
    def body(self) -> Resource:
        """The resource that POST, PUT and PATCH entries have."""
        assert self.resource is not None
        return self.resource


async def read_bundle(server: Server, raw: bytes, base: str, pace: Pace) -> tuple[str, list[Entry]]:
    """The type (batch or transaction) and the entries of the Bundle in ``raw``, in its order.

    What is wrong with one entry stands in its ``error``. Raises InvalidContent when it is no such
    Bundle, Unprocessable when the Bundle itself is malformed.
    """
    raw = raw.removeprefix(BOM_UTF8)
    members = _split(raw)
    items = _items(members.pop("entry", None))
    values = {name: bytes(value) for name, value in members.items()}
    kind = _kind_of(server, {name: parse_json(value) for name, value in values.items()})
    colons = sum(value.count(b":") for value in values.values()) + len(values) + (items is not None)
    entries = []
    for index, item in enumerate(items or ()):
        content = bytes(item)
        inside = content.count(b":")
        colons += inside
        entries.append(_read_entry(server, index, content, inside, kind, base))
        await pace()
    _require_single(raw.count(b":"), colons)
    return kind, entries


def _split(raw: bytes) -> dict[str, Raw]:
    """The members of a JSON object, each with its own bytes."""
    try:
        return _object.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidContent(f"a JSON object is expected: {error}") from error


def _items(raw: Raw | None) -> Sequence[Raw] | None:
    try:
        return None if raw is None else _list.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidContent("entry is a list", expression="Bundle.entry") from error


def _require_single(sent: int, read: int) -> None:
    """Raises InvalidContent when more colons were sent than the members read have: one stands twice."""
    if sent != read:
        raise InvalidContent("a member stands twice in one object; readers would disagree about its value")


def _kind_of(server: Server, envelope: Json) -> str:
    """batch or transaction. Raises InvalidContent and Unprocessable as ``read_bundle``."""
    kind = envelope.get("type")
    if envelope.get("resourceType") != "Bundle" or kind not in {"batch", "transaction"}:
        raise InvalidContent(
            "only a Bundle of type batch or transaction can be posted here",
            expression="Bundle.type",
            code="value",
        )
    require_valid(server.validate(envelope))
    return str(kind)


def _read_entry(server: Server, index: int, raw: bytes, colons: int, kind: str, base: str) -> Entry:
    try:
        parts = _split(raw)
        resource = bytes(parts.pop("resource", b""))
        if "request" not in parts:
            raise InvalidContent("it needs a request", expression=f"{place(index)}.request", code="required")
        frame_raw = msgspec.json.encode(parts)
        _require_single(colons, frame_raw.count(b":") + resource.count(b":") + bool(resource))
        frame = parse_json(frame_raw)
        faults = server.validate({"resourceType": "Bundle", "type": kind, "entry": [frame]})
        require_valid([_renumbered(fault, index) for fault in faults])
        entry = _understand(index, frame, base)
    except FhirError as error:
        return Entry(index, None, "", "", NOWHERE, None, error=error)
    try:
        entry.resource = Resource.parse(resource) if resource else None
        _require_sense(server, entry)
    except FhirError as error:
        entry.error = error
    return entry


def _renumbered(issue: Issue, index: int) -> Issue:
    """An issue of the only entry of a Bundle, as one of entry ``index``."""
    expression = (issue.expression or "Bundle.entry[0]").replace("Bundle.entry[0]", place(index), 1)
    return replace(issue, expression=expression)


def _understand(index: int, frame: Json, base: str) -> Entry:
    request: Mapping[str, Any] = frame["request"]
    address = parse_address(request["url"], base)
    return Entry(
        index,
        frame.get("fullUrl"),
        request["method"],
        _interaction(request["method"], address),
        address,
        None,
        request.get("ifMatch"),
        request.get("ifNoneMatch"),
        request.get("ifNoneExist"),
    )


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


def _interaction(method: str, address: Address) -> str:
    """The interaction that ``method`` means at ``address``. Raises NotSupported."""
    kind = (method, _shape(address))
    if kind not in INTERACTIONS:
        raise NotSupported(f"a Bundle cannot {method} {kind[1] or 'this address'}", expression="http.url")
    return INTERACTIONS[kind]


def _shape(address: Address) -> str:
    if address.history:
        return "version" if address.version and address.id else "history"
    if address.id is not None:
        return "instance"
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

_WITH_BODY = frozenset({"create", "update", "patch"})


def _require_sense(server: Server, entry: Entry) -> None:
    """Raises when the type is unknown, or the resource is missing or superfluous."""
    if entry.address.type is not None:
        require_type(server, entry.address.type)
    if (entry.interaction in _WITH_BODY) == (entry.resource is not None):
        return
    need = "needs a" if entry.interaction in _WITH_BODY else "must not have a"
    raise InvalidContent(
        f"{entry.method} {need} resource", expression=f"{place(entry.index)}.resource", code="required"
    )


def place(index: int) -> str:
    """The expression of an entry: ``Bundle.entry[3]``."""
    return f"Bundle.entry[{index}]"


_REQUEST = {
    "http.If-Match": "ifMatch",
    "http.If-None-Match": "ifNoneMatch",
    "http.If-None-Exist": "ifNoneExist",
}


@contextmanager
def at(entry: Entry) -> Iterator[None]:
    """Whatever FhirError is raised in the block says that it happened at ``entry``."""
    try:
        yield
    except FhirError as error:
        error.issues = tuple(located(error.issues, entry))
        raise


def raise_all(faults: Sequence[tuple[Entry, FhirError]]) -> None:
    """Raise one error that tells all ``faults``, of the class of the gravest (the lowest status). None: return."""
    if not faults:
        return
    gravest = min((error for _, error in faults), key=lambda error: error.status)
    issues = [issue for entry, error in faults for issue in located(error.issues, entry)]
    raise type(gravest)(issues=issues, headers=gravest.headers if len(faults) == 1 else None)


def located(issues: Sequence[Issue], entry: Entry) -> Iterator[Issue]:
    """``issues`` of one entry's interaction with expressions that lead to the entry."""
    for issue in issues:
        yield replace(issue, expression=_located(issue.expression, entry))


def _located(expression: str | None, entry: Entry) -> str:
    here = place(entry.index)
    if expression is None:
        return here
    if expression.startswith("Bundle.entry["):
        return expression
    if expression.startswith("http."):
        return f"{here}.request.{_REQUEST.get(expression, 'url')}"
    root, dot, rest = expression.partition(".")
    if entry.resource is not None and root == entry.resource.type:
        return f"{here}.resource{dot}{rest}"
    return f"{here}.resource"


def patch_of(entry: Entry) -> tuple[bytes, str]:
    """The patch of a PATCH entry and its media type: a Binary carries it, as R4 has it.

    Raises InvalidContent for another resource or bad base64.
    """
    data = entry.body.data
    if entry.body.type == "Parameters":
        return b"", "application/fhir+json"
    expression = f"{place(entry.index)}.resource"
    if entry.body.type != "Binary":
        raise InvalidContent("a patch in a Bundle is a Binary", expression=expression, code="invalid")
    try:
        return b64decode(data.get("data", ""), validate=True), data.get("contentType", "")
    except ValueError as error:
        raise InvalidContent(
            "the patch is not base64", expression=f"{expression}.data", code="value"
        ) from error
