"""``$convert``: the same resource in the other format. Doors read and write formats; here it is only checked.

What is not right could not be written in another format without loss, so it is refused with every fault.
Source: FHIR R4 operation-resource-convert.html.
"""

from __future__ import annotations

import msgspec

from fhir_server.errors import Unprocessable
from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.interactions.operations.definition import definition, giving, operations_of, taking
from fhir_server.interactions.parameters import read_inputs
from fhir_server.model.resource import Json
from fhir_server.security.caller import Caller

INPUT = "input"


class _Parameter(msgspec.Struct):
    name: str = ""
    resource: msgspec.Raw = msgspec.Raw(b"")


class _Body(msgspec.Struct, rename={"type": "resourceType"}):
    type: str
    parameter: list[_Parameter] = []


async def run(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """200 with the resource, byte for byte; the door gives it the format that is asked for.

    Raises InvalidContent when there is none, Unprocessable with every fault of it.
    """
    data: Json = read_inputs(OPERATIONS[0], invocation.parameters).one(INPUT)
    faults = [issue for issue in server.validate(data) if issue.is_error]
    if faults:
        raise Unprocessable(issues=faults)
    return Outcome(200, resource=_input(invocation.body))


def _input(body: bytes) -> bytes:
    """The bytes of the resource: the body itself, or what a Parameters names ``input``."""
    read = msgspec.json.decode(body, type=_Body)
    if read.type != "Parameters":
        return body
    return next(bytes(parameter.resource) for parameter in read.parameter if parameter.name == INPUT)


OPERATIONS: tuple[Operation, ...] = operations_of(
    definition(
        "Resource-convert",
        "convert",
        "Gives a resource back in another format: JSON or XML, as Accept or _format says. Nothing is kept.",
        [
            taking(INPUT, "Resource", "the resource; may also be the body itself", min=1),
            giving("Resource", "the same resource", name="output"),
        ],
        levels=("system",),
    ),
    run,
)
