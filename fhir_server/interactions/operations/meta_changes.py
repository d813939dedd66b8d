"""``$meta-add`` and ``$meta-delete``: labels put on a resource, or taken off it.

R4 leaves open whether this makes a version (up to STU3 it did not). Here it does, as every change: ETags, caches, the
history and whoever follows the changes must not miss that a security label came or went.
Source: FHIR R4 operation-resource-meta-add.html, operation-resource-meta-delete.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from fhir_server.interactions.conditional import etag
from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.interactions.operations.definition import definition, giving, operations_of, taking
from fhir_server.interactions.operations.labels import Labels, meta_answer, relabelled, require_labels
from fhir_server.interactions.parameters import read_inputs
from fhir_server.interactions.patch import modify
from fhir_server.model.exact import dumps_exact, loads_exact
from fhir_server.model.resource import Resource
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller

CHANGES: Mapping[str, tuple[Callable[[Labels, Mapping[str, Any]], None], str]] = {
    "meta-add": (
        Labels.add,
        "Puts profiles, tags and security labels on a resource; those it has stay as they are.",
    ),
    "meta-delete": (Labels.remove, "Takes profiles, tags and security labels off a resource."),
}
"""Operation → how it changes the labels, and what it does in words."""


async def run(code: str, server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """Parameters with the Meta as it is now, and the ETag of the new version.

    Raises NotFound, Gone, PreconditionFailed when ``If-Match`` names another version, InvalidContent for a ``meta``
    that says more than labels, and what the rules of the type raise.
    """
    type, id = str(invocation.type), str(invocation.id)
    meta = require_labels(read_inputs(OPERATION_OF[code], invocation.parameters).one("meta"))
    check_access(caller, "update", type)
    done = await modify(
        server,
        caller,
        type,
        id,
        partial(_changed, CHANGES[code][0], meta),
        if_match=None if invocation.if_match is None else etag(invocation.if_match),
    )
    assert done.record is not None
    return meta_answer(orjson.loads(done.record.content)["meta"], ETag=etag(done.record.version))


def _changed(
    change: Callable[[Labels, Mapping[str, Any]], None], meta: Mapping[str, Any], resource: Resource
) -> Resource:
    tree = loads_exact(resource.raw)
    labels = Labels(tree["meta"])
    change(labels, meta)
    tree["meta"] = relabelled(tree["meta"], labels)
    return Resource.parse(dumps_exact(tree))


def _operation(code: str) -> Operation:
    what = definition(
        f"Resource-{code}",
        code,
        f"{CHANGES[code][1]} Makes a new version, as every change does.",
        [
            taking("meta", "Meta", "the profiles, tags and security labels; it may hold nothing else", min=1),
            giving("Meta", "the Meta of the resource as it is now"),
        ],
        affects_state=True,
    )
    return operations_of(what, partial(run, code))[0]


OPERATIONS = tuple(_operation(code) for code in CHANGES)
OPERATION_OF = {operation.code: operation for operation in OPERATIONS}
