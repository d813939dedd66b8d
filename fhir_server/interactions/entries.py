"""The entries of a batch or transaction, and how an issue says at which of them it is.

Source: FHIR R4 bundle.html, http.html#transaction.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

import orjson

from fhir_server.errors import FhirError, InvalidContent, Issue
from fhir_server.interactions.addresses import Address
from fhir_server.interactions.bundles import Pairs
from fhir_server.interactions.patches import FHIR_JSON
from fhir_server.model.resource import Resource


@dataclass(slots=True)
class Entry:
    """One entry. ``interaction`` is one of ``addresses.INTERACTIONS``.

    ``error`` says why the entry cannot be carried out, before anything was tried. ``raw`` is its
    resource's own bytes (b"" when it has none) and ``kind`` their resourceType; ``references`` are the
    texts of its references; ``warnings`` what its content was told short of an error. ``version`` is the
    ``meta.versionId`` that the resource was sent with; ``if_modified_since`` is in microseconds since 1970 UTC.
    """

    index: int
    full_url: str | None
    method: str
    interaction: str
    address: Address
    raw: bytes = b""
    kind: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    if_none_exist: str | None = None
    if_modified_since: int | None = None
    error: FhirError | None = None
    references: frozenset[str] = frozenset()
    warnings: tuple[Issue, ...] = ()
    version: str | None = None

    @property
    def type(self) -> str:
        """The resource type its URL names."""
        return self.address.type or ""

    @property
    def id(self) -> str:
        """The id its URL names."""
        return self.address.id or ""

    @property
    def pairs(self) -> Pairs:
        """The parameters of its URL."""
        return parse_qsl(self.address.query or "", keep_blank_values=True)

    @property
    def criteria(self) -> str | None:
        """The search that names the resource of a conditional update, patch or delete."""
        return self.address.query if self.address.id is None else None

    @property
    def is_read(self) -> bool:
        """True when it changes nothing."""
        return self.method in {"GET", "HEAD"}

    @property
    def stage(self) -> str:
        """When it is carried out: all that only reads comes last."""
        return "read" if self.is_read else self.interaction

    @property
    def body(self) -> Resource:
        """The resource, parsed anew each time: the trees of a large Bundle would take several times its size."""
        return Resource(self.raw, orjson.loads(self.raw))


STAGES = ("delete", "create", "update", "patch", "operation", "delete-history", "read")
"""The order in which the entries of a Bundle are carried out."""


def patch_of(entry: Entry) -> tuple[bytes, str]:
    """The patch of a PATCH entry and its media type: a Parameters is one itself, a Binary carries any kind.

    Raises InvalidContent for another resource or bad base64.
    """
    if entry.kind == "Parameters":
        return entry.raw, FHIR_JSON
    expression = f"{place(entry.index)}.resource"
    if entry.kind != "Binary":
        raise InvalidContent(
            "a patch in a Bundle is a Parameters (FHIRPath Patch) or a Binary (any other kind)",
            expression=expression,
            code="invalid",
        )
    data = entry.body.data
    try:
        return b64decode(data.get("data", ""), validate=True), str(data.get("contentType", ""))
    except (ValueError, TypeError) as error:
        raise InvalidContent(
            "the patch is not base64", expression=f"{expression}.data", code="value"
        ) from error


# ── faults ────────────────────────────────────────────────────────────────────


class Faults:
    """Gathers what is wrong with the entries, so that all of it is told at once."""

    def __init__(self) -> None:
        self.found: list[tuple[Entry, FhirError]] = []

    @contextmanager
    def of(self, entry: Entry) -> Iterator[None]:
        """Note an error of ``entry`` that is raised in the block; one of the server itself is not held back."""
        try:
            yield
        except FhirError as error:
            if error.status >= 500:
                raise
            self.found.append((entry, error))

    def note(self, entry: Entry, error: FhirError) -> None:
        """Something is wrong with ``entry``."""
        self.found.append((entry, error))

    def raise_any(self) -> None:
        """Raise one error that tells all faults, of the class of the gravest (the lowest status)."""
        if not self.found:
            return
        gravest = min((error for _, error in self.found), key=lambda error: error.status)
        issues = [issue for entry, error in self.found for issue in located(error.issues, entry)]
        raise type(gravest)(issues=issues, headers=gravest.headers if len(self.found) == 1 else None)


def place(index: int) -> str:
    """The expression of an entry: ``Bundle.entry[3]``."""
    return f"Bundle.entry[{index}]"


_REQUEST = {
    "http.If-Match": "ifMatch",
    "http.If-None-Match": "ifNoneMatch",
    "http.If-None-Exist": "ifNoneExist",
}


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
    if root == entry.kind:
        return f"{here}.resource{dot}{rest}"
    return f"{here}.resource"
