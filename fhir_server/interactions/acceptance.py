"""The entries of a transaction before the store transaction opens: everything that can be known to be wrong.

Source: FHIR R4 http.html#trules.
"""

from __future__ import annotations

from fhir_server.errors import NotSupported
from fhir_server.interactions.batch import Context
from fhir_server.interactions.context import Server
from fhir_server.interactions.entries import Entry, patch_of
from fhir_server.interactions.links import references_in
from fhir_server.interactions.patches import parse_patch
from fhir_server.interactions.update import require_own_id
from fhir_server.interactions.write import accept
from fhir_server.model.resource import Resource
from fhir_server.security.access import check_access

GRANTS = {"delete-history": "purge"}
"""Interaction → what must be granted for it, where that has another name."""


def accept_entry(context: Context, entry: Entry, resource: Resource | None) -> None:
    """Check one entry, and note the references of its ``resource``. Raises what ``write.accept`` raises, and more."""
    check_access(context.caller, GRANTS.get(entry.interaction, entry.interaction), entry.address.type)
    if entry.interaction in {"create", "update"} and resource is not None:
        issues = accept(context.server, context.caller, entry.interaction, resource, entry.type)
        entry.warnings = tuple(issues)
        entry.references = _references(resource)
        entry.version = resource.data.get("meta", {}).get("versionId")
        if entry.address.id is not None:
            require_own_id(resource, entry.address.id)
    elif entry.interaction == "patch":
        body, content_type = patch_of(entry)
        parse_patch(context.server, body, content_type)
        entry.references = frozenset(references_in(body))
    elif entry.interaction == "operation" and _is_alone(context.server, entry):
        raise NotSupported(
            f"${entry.address.operation} does its work in steps of its own and cannot be part of a transaction; "
            "use a batch",
            expression="http.url",
        )


def _references(resource: Resource) -> frozenset[str]:
    """The texts of its references; a Bundle's own lead to its own entries."""
    return frozenset(references_in(resource.raw)) if resource.type != "Bundle" else frozenset()


def _is_alone(server: Server, entry: Entry) -> bool:
    known = server.operations.get(entry.address.operation or "", ())
    return any(operation.alone for operation in known)
