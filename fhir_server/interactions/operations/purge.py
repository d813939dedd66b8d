"""``$purge``: a resource removed for good, with all its versions. Our own; R5 knows it for a Patient's compartment.

Source: FHIR R5 operation-patient-purge.html, for the name.
"""

from __future__ import annotations

from fhir_server.interactions.conditional import etag
from fhir_server.interactions.context import Invocation, Outcome, Server
from fhir_server.interactions.erase import purge
from fhir_server.interactions.operations.definition import OWN, definition, giving, operations_of
from fhir_server.interactions.parameters import read_inputs
from fhir_server.security.caller import Caller


async def run(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """An OperationOutcome that says what was removed. Raises as ``erase.purge`` does."""
    read_inputs(OPERATION, invocation.parameters)
    if_match = None if invocation.if_match is None else etag(invocation.if_match)
    return await purge(server, caller, str(invocation.type), str(invocation.id), if_match=if_match)


OPERATION = operations_of(
    definition(
        "cmc-purge",
        "purge",
        "Removes this one resource with all its versions for good. Only an administrator may; an AuditEvent is kept. "
        "What refers to the resource stays as it is.",
        [giving("OperationOutcome", "what was removed")],
        affects_state=True,
        root=OWN,
    ),
    run,
)[0]
