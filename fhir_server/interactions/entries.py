"""The entries of a batch or transaction, and how an issue says at which of them it is.

Source: FHIR R4 bundle.html, http.html#transaction.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import orjson

from fhir_server.errors import FhirError, InvalidContent, Issue
from fhir_server.interactions.addresses import Address
from fhir_server.interactions.patches import FHIR_JSON
from fhir_server.model.resource import Resource


@dataclass(slots=True)
class Entry:
    """One entry. ``interaction`` is create, update, patch, delete, read, vread, search or history.

    ``error`` says why the entry cannot be carried out, before anything was tried. ``raw`` is its
    resource's own bytes (b"" when it has none) and ``kind`` their resourceType; ``references`` are the
    texts of its references; ``warnings`` what its content was told short of an error.
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
    error: FhirError | None = None
    references: frozenset[str] = frozenset()
    warnings: tuple[Issue, ...] = ()

    @property
    def type(self) -> str:
        """The resource type its URL names."""
        return self.address.type or ""

    @property
    def body(self) -> Resource:
        """The resource, parsed anew each time: the trees of a large Bundle would take several times its size."""
        return Resource(self.raw, orjson.loads(self.raw))


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
    if root == entry.kind:
        return f"{here}.resource{dot}{rest}"
    return f"{here}.resource"
