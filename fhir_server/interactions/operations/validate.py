"""``$validate``: would this resource be accepted, as it is, as a create, as an update; may this one be deleted?

With a mode the whole write is done and then undone, so the answer is the one that the write would get, rules of
referrals included. The first issue says what was checked, and by which program.
Source: FHIR R4 operation-resource-validate.html, validation.html.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import orjson

from fhir_server import __version__
from fhir_server.errors import FhirError, InvalidContent, Issue, outcome
from fhir_server.interactions.conditional import etag
from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.interactions.delete import remove_current
from fhir_server.interactions.operations.definition import definition, giving, operations_of, taking
from fhir_server.interactions.parameters import read_inputs
from fhir_server.interactions.read import read
from fhir_server.interactions.references import require_targets
from fhir_server.interactions.update import put_current, require_own_id
from fhir_server.interactions.write import Corridor, accept, corridor, require_same_type
from fhir_server.model.resource import Json, Resource
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller

CONTENT = (
    "structure, cardinality, primitive values, choices, required codes, reference targets and narrative, but no "
    "profiles, no invariants and no codes that are not required"
)
"""What ``Server.validate`` looks at."""

BASE_PROFILES = "http://hl7.org/fhir/StructureDefinition/"


async def run(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """200 with an OperationOutcome, whatever was found. Raises InvalidContent when it cannot be told what is to be
    checked, NotFound and Gone when that is a stored resource which is not here."""
    inputs = read_inputs(OPERATIONS[0], invocation.parameters)
    mode, profile = inputs.one("mode"), inputs.one("profile")
    _require_place(mode, invocation)
    data = inputs.one("resource") or await _stored(server, caller, invocation, mode)
    issues = [_checked(server, mode)]
    issues += await _tried(server, caller, invocation, mode, data)
    issues += _profiles(data, profile) if mode != "delete" else []
    return Outcome(200, resource=orjson.dumps(outcome(issues)))


def _require_place(mode: str | None, invocation: Invocation) -> None:
    if mode is not None and mode not in MODES:
        raise InvalidContent(f"mode is one of {', '.join(MODES)}", expression="mode", code="value")
    if mode in {"update", "delete"} and invocation.id is None:
        raise InvalidContent(
            f"the mode {mode} is about one resource: call {invocation.type}/[id]/$validate", expression="mode"
        )


async def _stored(server: Server, caller: Caller, invocation: Invocation, mode: str | None) -> Json:
    """The resource that the address names, for who sends none. Raises InvalidContent when it names none."""
    if invocation.id is None or mode in {"create", "update"}:
        raise InvalidContent("there is no resource to validate", expression="resource", code="required")
    record = (await read(server, caller, str(invocation.type), invocation.id)).record
    assert record is not None
    data: Json = orjson.loads(record.content)
    return data


def _checked(server: Server, mode: str | None) -> Issue:
    by = f"by fhir-server {__version__} (FHIR R4, {server.definitions.version})"
    if mode == "delete":
        text = f"{by}: whether the resource may be deleted; its content was not looked at"
    else:
        also = f", and whether it would be accepted as {MODES[mode]}" if mode else ""
        text = f"{by}: {CONTENT}{also}"
    return Issue("information", "informational", f"checked {text}", rule="CHECKED")


# ── the check ─────────────────────────────────────────────────────────────────


async def _tried(
    server: Server, caller: Caller, invocation: Invocation, mode: str | None, data: Json
) -> Sequence[Issue]:
    """What the content, and the write when there is a mode, would be told."""
    if mode is None:
        return _content(server, invocation, data)
    try:
        return await TRIALS[mode](server, caller, invocation, data)
    except FhirError as error:
        return error.issues


def _content(server: Server, invocation: Invocation, data: Json) -> Sequence[Issue]:
    try:
        require_same_type(Resource.of(data), invocation.type)
    except FhirError as error:
        return error.issues
    return server.validate(data)


class _Undone(Exception):
    """Leaves a store transaction, so that nothing of it stays."""


@asynccontextmanager
async def _trial(server: Server, caller: Caller) -> AsyncIterator[Corridor]:
    """A corridor whose writes are undone at its end."""
    try:
        async with corridor(server, caller) as writing:
            yield writing
            await require_targets(writing.transaction, writing.pointers)
            raise _Undone
    except _Undone:
        return


async def _create(server: Server, caller: Caller, invocation: Invocation, data: Json) -> Sequence[Issue]:
    resource = Resource.of(data)
    warnings = accept(server, caller, "create", resource, invocation.type)
    async with _trial(server, caller) as writing:
        await writing.put(resource, server.new_id(), None, method="POST")
        return [*warnings, *writing.issues]


async def _update(server: Server, caller: Caller, invocation: Invocation, data: Json) -> Sequence[Issue]:
    resource = Resource.of(data)
    warnings = accept(server, caller, "update", resource, invocation.type)
    id = require_own_id(resource, invocation.id)
    async with _trial(server, caller) as writing:
        await put_current(writing, resource, id, if_match=_if_match(invocation))
        return [*warnings, *writing.issues]


async def _delete(server: Server, caller: Caller, invocation: Invocation, data: Json) -> Sequence[Issue]:
    type, id = str(invocation.type), str(invocation.id)
    check_access(caller, "delete", type)
    async with _trial(server, caller) as writing:
        await remove_current(writing, type, id, if_match=_if_match(invocation))
        return writing.issues


def _if_match(invocation: Invocation) -> str | None:
    return None if invocation.if_match is None else etag(invocation.if_match)


Trial = Callable[[Server, Caller, Invocation, Json], Awaitable[Sequence[Issue]]]
TRIALS: Mapping[str, Trial] = {"create": _create, "update": _update, "delete": _delete}
MODES: Mapping[str, str] = {"create": "a create", "update": "an update", "delete": "a delete"}

# ── profiles ──────────────────────────────────────────────────────────────────


def _profiles(data: Json, asked: str | None) -> list[Issue]:
    """What is said of profiles that were not checked: an error for the one that was asked for, as R4 demands, a
    warning for those that the resource claims."""
    own = f"{BASE_PROFILES}{data.get('resourceType')}"
    issues = []
    if asked is not None and asked.partition("|")[0] != own:
        text = f"the profile {asked[:200]} was not checked: this server checks {own} only"
        issues.append(Issue("error", "not-supported", text, "http.profile", "PROFILE_NOT_CHECKED"))
    meta = data.get("meta")
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    for place, profile in enumerate(claimed if isinstance(claimed, list) else ()):
        if isinstance(profile, str) and profile.partition("|")[0] not in {own, asked}:
            text = f"it claims the profile {profile[:200]}, which was not checked"
            expression = f"{data.get('resourceType')}.meta.profile[{place}]"
            issues.append(Issue("warning", "not-supported", text, expression, "PROFILE_NOT_CHECKED"))
    return issues


OPERATIONS: tuple[Operation, ...] = operations_of(
    definition(
        "Resource-validate",
        "validate",
        "Says whether a resource is right; with a mode, whether it would be accepted as a create, an update or a "
        "delete. Nothing is kept. The answer is 200 whatever was found; its first issue says what was checked.",
        [
            taking("resource", "Resource", "what is to be checked; may also be the body itself"),
            taking("mode", "code", "create, update or delete; without it only the content is checked"),
            taking(
                "profile",
                "uri",
                "a profile to check against: the base definition of the type is the only one so far",
            ),
            giving("OperationOutcome"),
        ],
        levels=("type", "instance"),
    ),
    run,
)
