"""Who may do what: default deny, decided in the corridor, so that no door can forget it.

What a client may do is a table, not code. In this issue every authenticated client works with all
of FHIR's types of its community, administrative and conformance types included: what changes how the
server searches, or what cannot be undone, is ``ADMINISTRATION``, for clients that were made administrators
(``fhir-server client add --administrator``). Tenancy and scopes narrow ``GRANTED``. Internal types
(``_Client``, ``_Key``, ``_Message``) belong to the server alone.
Source: FHIR R4 security.html; RFC 6750.
"""

from __future__ import annotations

from fhir_server.errors import Forbidden, Unauthenticated
from fhir_server.search.query import Criterion, Query
from fhir_server.search.restriction import restricted
from fhir_server.security.caller import Caller

READS = frozenset({"read", "vread", "history", "search"})
WRITES = frozenset({"create", "update", "patch", "delete"})

OPEN = frozenset({"capabilities"})
"""Interactions that need no token."""

GRANTED = READS | WRITES | OPEN | {"batch", "transaction", "operation"}
"""What every authenticated client may do; an interaction that is not listed is refused."""


ADMINISTRATION = frozenset({"define-search", "reindex", "explain", "purge"})
"""What only an administrator may do: put search parameters in force, index again, see how a search is carried
out, and remove versions for good."""


def check_access(caller: Caller | None, interaction: str, type: str | None = None) -> None:
    """Refuse what ``caller`` may not do: ``interaction`` on ``type`` (None: the whole system).

    Raises Unauthenticated without a caller, Forbidden when the table does not grant it.
    """
    if caller is None:
        if interaction in OPEN:
            return
        raise unauthenticated()
    if caller.system:
        return
    if interaction in ADMINISTRATION:
        _require_administrator(caller, interaction)
    elif interaction not in GRANTED:
        raise Forbidden(f"a client may not {interaction}")
    _refuse_internal(caller, type)


def _require_administrator(caller: Caller, interaction: str) -> None:
    if not caller.administrator:
        raise Forbidden(
            f"{interaction} is for administrators: whoever runs the server makes a client one with "
            "fhir-server client add --administrator"
        )


def unauthenticated() -> Unauthenticated:
    """What is said to somebody who shows no token at all."""
    return Unauthenticated(
        "an access token is needed here: get one from /auth/token", headers={"WWW-Authenticate": "Bearer"}
    )


def narrow(query: Query, caller: Caller) -> Query:
    """``query`` restricted to what ``caller`` may see, in every type that it looks at.

    Raises Forbidden for an internal type.
    """
    return restricted(query, lambda type: visible_part(caller, type))


def visible_part(caller: Caller, type: str) -> Criterion | None:
    """What a resource of ``type`` must satisfy for ``caller`` to see it; None: every one may be seen.

    Raises Forbidden for an internal type.
    """
    _refuse_internal(caller, type)
    return None


def _refuse_internal(caller: Caller, type: str | None) -> None:
    if type is not None and type.startswith("_") and not caller.system:
        raise Forbidden("this type of record belongs to the server")
