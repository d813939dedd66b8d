"""Every error a caller can be told about: one tree, and the issue that explains it.

Status, issue code and HL7 v2 acknowledgement are attributes of the class, so each door turns
an error into its own words without a table of its own::

    FhirError
    ├── InvalidContent        400  not JSON, not a resource, wrong type for the URL
    │   └── TooLarge          413  body over the limit
    ├── InvalidSearch         400  bad value, unknown parameter or modifier
    ├── Unauthenticated       401  no or bad token
    ├── Forbidden             403  organisation, scope or consent says no
    ├── NotFound              404  unknown id
    │   └── Gone              410  deleted
    ├── NotSupported          405  verb; ``NotAcceptable`` 406, ``UnsupportedMedia`` 415, ``NotImplementedHere`` 501
    ├── Conflict              409  illegal transition, lost race, duplicate
    ├── PreconditionFailed    412  ``If-Match`` differs, conditional finds many; ``PreconditionRequired`` 428
    ├── Unprocessable         422  profile, guard or rule broken: every fault at once
    ├── Throttled             429  with ``Retry-After``
    └── StoreUnavailable      503  database away: the sender resends; ``NotReady``: an index is still being built
        ├── StoreAway         503  it cannot be reached, or another program holds it, for now
        └── InsufficientStorage   507  no room to write

Source: FHIR R4 http.html#status-codes; issue codes: ValueSet issue-type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Issue:
    """One entry of an OperationOutcome.

    ``severity`` is ``fatal | error | warning | information``; ``code`` a code of the ValueSet
    issue-type; ``text`` says to a person what was wrong and what is allowed; ``expression`` is
    the FHIRPath (``Patient.name[0].given``) or, for a query, ``http.<parameter>``; ``rule`` is a
    stable machine-readable code of ours (``ILLEGAL_TRANSITION``); ``diagnostics`` is extra
    detail, never patient data.
    """

    severity: str
    code: str
    text: str
    expression: str | None = None
    rule: str | None = None
    diagnostics: str | None = None

    @property
    def is_error(self) -> bool:
        """True for ``error`` and ``fatal``."""
        return self.severity in {"error", "fatal"}

    def as_json(self) -> dict[str, Any]:
        """The issue as an ``OperationOutcome.issue`` element."""
        details: dict[str, Any] = {"text": self.text}
        if self.rule:
            details = {"coding": [{"system": ERROR_SYSTEM, "code": self.rule}], "text": self.text}
        issue: dict[str, Any] = {"severity": self.severity, "code": self.code, "details": details}
        if self.diagnostics:
            issue["diagnostics"] = self.diagnostics
        if self.expression:
            issue["expression"] = [self.expression]
        return issue


ERROR_SYSTEM = "http://cmc.example.org/fhir/CodeSystem/error"


def outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """An OperationOutcome resource (JSON) from ``issues``, which must not be empty."""
    return {"resourceType": "OperationOutcome", "issue": [issue.as_json() for issue in issues]}


class FhirError(Exception):
    """Something a caller can be told. Raised with a text, or with ready-made ``issues``.

    ``headers`` are HTTP headers the answer must carry (``Retry-After``, ``ETag``, …).
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "exception"
    ack: ClassVar[str] = "AR"

    def __init__(
        self,
        text: str = "",
        *,
        expression: str | None = None,
        rule: str | None = None,
        code: str | None = None,
        diagnostics: str | None = None,
        issues: Sequence[Issue] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        own = Issue("error", code or self.code, text, expression, rule, diagnostics)
        self.issues: tuple[Issue, ...] = tuple(issues) or (own,)
        self.headers: dict[str, str] = dict(headers or {})
        super().__init__("; ".join(issue.text for issue in self.issues))

    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome that tells this error."""
        return outcome(self.issues)


class InvalidContent(FhirError):
    """The body is not JSON, not a resource, or not of the type the URL names."""

    status, code, ack = 400, "structure", "AE"


class TooLarge(InvalidContent):
    """The body (after decompression) is over ``FHIR_MAX_BODY``."""

    status, code, ack = 413, "too-long", "AR"


class InvalidSearch(FhirError):
    """A search has a bad value, or a parameter or modifier that is not known."""

    status, code, ack = 400, "invalid", "AE"


class Unauthenticated(FhirError):
    """No token, or one that is not valid; the answer carries ``WWW-Authenticate``."""

    status, code, ack = 401, "login", "AR"


class Forbidden(FhirError):
    """The caller is known, but may not do this."""

    status, code, ack = 403, "forbidden", "AR"


class NotFound(FhirError):
    """No such resource, version, type or address."""

    status, code, ack = 404, "not-found", "AE"


class Gone(NotFound):
    """The resource was here and has been deleted."""

    status, code, ack = 410, "deleted", "AE"


class NotSupported(FhirError):
    """The verb is not allowed at this address."""

    status, code, ack = 405, "not-supported", "AR"


class NotAcceptable(NotSupported):
    """None of the formats in ``Accept`` or ``_format`` can be made."""

    status = 406


class UnsupportedMedia(NotSupported):
    """The body's ``Content-Type`` or ``Content-Encoding`` cannot be read."""

    status = 415


class NotImplementedHere(NotSupported):
    """An interaction or operation this server does not have."""

    status = 501


class Conflict(FhirError):
    """An illegal transition, a lost race, or a duplicate."""

    status, code, ack = 409, "conflict", "AE"


class PreconditionFailed(FhirError):
    """``If-Match`` names another version, or a conditional finds several resources."""

    status, code, ack = 412, "conflict", "AE"


class PreconditionRequired(PreconditionFailed):
    """``If-Match`` is required here and was not sent (RFC 6585)."""

    status, code = 428, "required"


class Unprocessable(FhirError):
    """The content breaks the standard, a profile, a guard or a referral rule."""

    status, code, ack = 422, "business-rule", "AE"


class Throttled(FhirError):
    """Too many requests for now."""

    status, code, ack = 429, "throttled", "AR"


class StoreUnavailable(FhirError):
    """The database is away; the sender should send again."""

    status, code, ack = 503, "transient", "AR"


class StoreAway(StoreUnavailable):
    """The database cannot be reached, or is held by another program: nothing is wrong with it, it will come back."""


class NotReady(StoreUnavailable):
    """The index that a search needs is still being built; ``Retry-After`` says when to ask again."""


class InsufficientStorage(StoreUnavailable):
    """There is no room to write; reading goes on (RFC 4918)."""

    status, code = 507, "no-store"
