"""patch: ``PATCH [base]/[type]/[id]`` with a JSON Patch (RFC 6902).

The patch works on a tree that keeps every number's text, so what it does not touch stays as it is.
Source: FHIR R4 http.html#patch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonpatch
import jsonpointer

from fhir_server.errors import InvalidContent, Unprocessable, UnsupportedMedia
from fhir_server.interactions.conditional import require_match
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.read import require_here
from fhir_server.interactions.write import Corridor, corridor, require_same_type, require_type, require_valid
from fhir_server.model.exact import dumps_exact, loads_exact
from fhir_server.model.resource import Json, Resource
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller
from fhir_server.store import Record

JSON_PATCH = "application/json-patch+json"
Make = Callable[[Resource], Resource]


async def patch(
    server: Server,
    caller: Caller,
    type: str,
    id: str,
    body: bytes,
    *,
    content_type: str = JSON_PATCH,
    if_match: str | None = None,
) -> Outcome:
    """Apply the patch in ``body`` to the current version and keep the result as the next: 200.

    Raises UnsupportedMedia for another kind of patch, InvalidContent for one that is malformed,
    Unprocessable when a test fails or the result is not valid, NotFound, Gone and PreconditionFailed.
    """
    require_type(server, type)
    check_access(caller, "patch", type)
    apply = parse_patch(body, content_type)
    return await modify(server, caller, type, id, apply, method="PATCH", if_match=if_match)


async def modify(
    server: Server,
    caller: Caller,
    type: str,
    id: str,
    make: Make,
    *,
    method: str = "PUT",
    if_match: str | None = None,
    operation: str | None = None,
    parameters: Json | None = None,
) -> Outcome:
    """Keep what ``make`` makes of the current version as the next one, both in one transaction: 200.

    For who reads, decides and writes: nobody else can write in between. ``operation`` and
    ``parameters`` are for rules. The caller's right to do this is checked before. Raises NotFound,
    Gone, PreconditionFailed, and what ``make``, the validator and the rules raise.
    """
    async with corridor(server, caller, operation=operation, parameters=parameters) as writing:
        record = await modify_current(writing, type, id, make, method=method, if_match=if_match)
    return Outcome(200, record, issues=tuple(writing.issues))


async def modify_current(
    writing: Corridor, type: str, id: str, make: Make, *, method: str, if_match: str | None = None
) -> Record:
    """``modify`` in an open corridor; the new version."""
    current = require_here(await writing.transaction.read(type, id), type, id)
    version = await require_match(writing.server, writing.caller, if_match, current)
    changed = make(Resource.parse(current.content))
    require_same_type(changed, type)
    if changed.id != id:
        raise Unprocessable("the id of a resource cannot be changed", expression=f"{type}.id", code="value")
    writing.issues += require_valid(writing.server.validate(changed.data))
    return await writing.put(changed, id, current, method=method, if_match=version)


def parse_patch(body: bytes, content_type: str = JSON_PATCH) -> Make:
    """The change that a JSON Patch makes. Raises UnsupportedMedia and InvalidContent as ``patch`` does."""
    if content_type.partition(";")[0].strip().lower() != JSON_PATCH:
        raise UnsupportedMedia(f"a patch is read as {JSON_PATCH} only", headers={"Accept-Patch": JSON_PATCH})
    steps = _parse_steps(body)

    def apply(resource: Resource) -> Resource:
        return Resource.parse(dumps_exact(_apply(steps, loads_exact(resource.raw))))

    return apply


def _parse_steps(body: bytes) -> jsonpatch.JsonPatch:
    try:
        steps = loads_exact(body)
    except ValueError as error:
        raise InvalidContent("the patch is not JSON") from error
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise InvalidContent("a JSON Patch is a list of operations (RFC 6902)")
    try:
        return jsonpatch.JsonPatch(steps)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise InvalidContent(f"the JSON Patch is malformed: {error}") from error


def _apply(steps: jsonpatch.JsonPatch, tree: Any) -> Any:
    """Raises InvalidContent for a malformed step, Unprocessable when a test fails or a path leads nowhere."""
    try:
        return steps.apply(tree)
    except jsonpatch.JsonPatchTestFailed as error:
        raise Unprocessable("a test of the patch fails; nothing was changed", code="conflict") from error
    except jsonpatch.InvalidJsonPatch as error:
        raise InvalidContent(f"the JSON Patch is malformed: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise Unprocessable("a path of the patch leads nowhere in this resource", code="value") from error
