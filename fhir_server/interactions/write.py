"""The one corridor through which everything is written.

Check access, check the content, run the domain's rules, extract the index values, put: in this
order, for every verb, door and companion. ``create``, ``update``, ``patch``, ``delete``,
``transaction`` and the domain's operations differ only in how they find the id and the version
that came before.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import orjson

from fhir_server.errors import FhirError, InvalidContent, Issue, NotFound, Unprocessable
from fhir_server.interactions.contained import MARK, keep_contained
from fhir_server.interactions.context import Act, Change, Server
from fhir_server.interactions.references import Pointer, literal_references, require_targets
from fhir_server.model.resource import Json, Resource
from fhir_server.search.index import IndexValues
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller
from fhir_server.store import Record, Transaction

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
MAX_CAUSES = 8
"""How many companions may cause one another before it must be a loop."""


def require_type(server: Server, type: str) -> None:
    """Raises NotFound unless ``type`` is one of FHIR's resource types: internal records are no door's."""
    if type not in server.definitions.resource_types:
        raise NotFound(f"there is no resource type {type}", code="not-supported")


def require_id(id: object, expression: str = "Resource.id") -> str:
    """``id``, when it has the syntax of an id. Raises InvalidContent."""
    if isinstance(id, str) and ID.fullmatch(id):
        return id
    raise InvalidContent(
        "an id has 1 to 64 characters out of A-Z, a-z, 0-9, - and .", expression=expression, code="value"
    )


def require_valid(issues: Sequence[Issue]) -> list[Issue]:
    """``issues`` that are no errors. Raises Unprocessable with all of them when one is."""
    if any(issue.is_error for issue in issues):
        raise Unprocessable(issues=issues)
    return list(issues)


def accept(
    server: Server, caller: Caller, interaction: str, resource: Resource, type: str | None
) -> list[Issue]:
    """Check that ``caller`` may do this and that the content is right; returns warnings.

    ``type`` is what the URL names, None when the body decides. Raises NotFound, Forbidden,
    InvalidContent for a body of another type, Unprocessable with every fault of the content.
    """
    require_type(server, type or resource.type)
    check_access(caller, interaction, type or resource.type)
    require_same_type(resource, type)
    return require_valid(server.validate(resource.data))


def require_same_type(resource: Resource, type: str | None) -> None:
    """Raises InvalidContent when the body is not of the ``type`` that the URL names."""
    if type is not None and resource.type != type:
        raise InvalidContent(
            f"the URL names {type}, but the body is a {resource.type}",
            expression="resourceType",
            code="invalid",
        )


class Early(NamedTuple):
    """Index values made before the turn to write; good while the search parameters in force have this ``revision``."""

    values: IndexValues
    revision: int


def early_values(server: Server, resource: Resource) -> Early | None:
    """The index values of ``resource``, made while the disk takes what others write. None when they depend on what is
    set in the turn, as on the id: contained resources are addressed by it."""
    if "contained" in resource.data or server.extract.needs_address(resource.type):
        return None
    revision = server.parameters.revision
    return Early(server.extract(resource.data), revision)


@dataclass(slots=True)
class Corridor:
    """One store transaction and what is written in it.

    ``updated`` (microseconds since 1970 UTC) is the time of all its versions; ``issues`` gathers what
    rules had to say that is no error; ``operation`` and ``parameters`` tell rules which $operation writes.
    ``pending`` is what a Bundle has not written yet, by (type, id), references resolved: rules may look at it.
    """

    server: Server
    caller: Caller
    transaction: Transaction
    updated: int
    operation: str | None = None
    parameters: Json | None = None
    issues: list[Issue] = field(default_factory=list)
    pointers: list[Pointer] = field(default_factory=list)
    pending: Mapping[tuple[str, str], Json] = field(default_factory=dict)
    later: dict[Act, None] = field(default_factory=dict)

    async def put(
        self,
        resource: Resource,
        id: str,
        before: Record | None,
        *,
        method: str,
        if_match: int | None = None,
        cause: Change | None = None,
        early: Early | None = None,
    ) -> Record:
        """Keep ``resource``, whose content has been accepted, as the version after ``before``; ``early`` are its
        index values, when they are known already.

        Runs its type's rules and writes what they add. Raises what they raise, and Unprocessable
        with the errors they return.
        """
        version = before.version + 1 if before else 1
        updated = max(self.updated, before.updated) if before else self.updated
        kept = resource.stamped(id, version, updated)
        change = self._change(before, kept, if_match, cause)
        await self._run_rules(resource.type, change)
        if change.replacement is not None:
            require_valid(self.server.validate(change.replacement.data))
            kept, early = change.replacement.stamped(id, version, updated), None
        record = Record(kept.type, id, version, updated, method, kept.raw)
        if early is not None and early.revision == self.server.parameters.revision:
            values = early.values
        else:
            values = self.server.extract(kept.data)
        await self.transaction.put(record, values)
        if "contained" in kept.data or (before is not None and MARK in before.content):
            await keep_contained(self.transaction, self.server.extract, record, before)
        if self.server.reference_check:
            self.pointers.extend(literal_references(kept.data))
        await self._write_companions(change)
        return record

    async def remove(self, before: Record, *, if_match: int | None = None) -> Record:
        """Delete ``before``, the current version; the deletion is a version. Raises as ``put`` does."""
        change = self._change(before, None, if_match, None)
        await self._run_rules(before.type, change)
        updated = max(self.updated, before.updated)
        record = Record(before.type, before.id, before.version + 1, updated, "DELETE", b"")
        await self.transaction.delete(record)
        if MARK in before.content:
            await keep_contained(self.transaction, self.server.extract, record, before)
        await self._write_companions(change)
        return record

    def _change(
        self, before: Record | None, after: Resource | None, if_match: int | None, cause: Change | None
    ) -> Change:
        rules = self.server.rules.get(after.type if after else (before.type if before else ""))
        old = orjson.loads(before.content) if rules and before and not before.deleted else None
        return Change(
            server=self.server,
            caller=self.caller,
            transaction=self.transaction,
            before=old,
            after=after.data if after else None,
            raw=after.raw if after else b"",
            operation=self.operation,
            parameters=self.parameters,
            if_match=if_match,
            cause=cause,
            pending=self.pending,
            later=self.later,
        )

    async def _run_rules(self, type: str, change: Change) -> None:
        issues: list[Issue] = []
        for rule in self.server.rules.get(type, ()):
            issues.extend(await rule(change))
        self.issues.extend(require_valid(issues))

    async def _write_companions(self, change: Change) -> None:
        for companion in change.companions:
            _refuse_loop(companion, change)
            require_valid(self.server.validate(companion.data))
            id = companion.id or self.server.new_id()
            before = await self.transaction.read(companion.type, id) if companion.id else None
            method = "PUT" if companion.id else "POST"
            await self.put(companion, id, before, method=method, cause=change)


def _refuse_loop(companion: Resource, change: Change) -> None:
    cause: Change | None = change
    for _ in range(MAX_CAUSES):
        if cause is None:
            return
        cause = cause.cause
    raise FhirError(f"the rules for {companion.type} keep writing more without an end; nothing was written")


@asynccontextmanager
async def corridor(
    server: Server, caller: Caller, *, operation: str | None = None, parameters: Json | None = None
) -> AsyncIterator[Corridor]:
    """Open the store transaction; when the block ends well, everything in it is durable.

    Within an open corridor (``server.within``) the block takes part in that one, whose end decides about everything.
    With ``server.reference_check``, what the written resources point to must be here at the end of
    the block. Raises Unprocessable naming each reference that leads nowhere.
    """
    if server.within is not None:
        yield _inside(server.within, server, caller, operation, parameters)
        return
    later: dict[Act, None] = {}
    try:
        async with server.store.transaction() as transaction:
            moment = microseconds(server)
            writing = Corridor(server, caller, transaction, moment, operation, parameters, later=later)
            yield writing
            await require_targets(transaction, writing.pointers)
    finally:
        begun = [act() for act in later]
    for each in begun:
        await each


def _inside(
    around: Corridor, server: Server, caller: Caller, operation: str | None, parameters: Json | None
) -> Corridor:
    return replace(
        around,
        server=server,
        caller=caller,
        operation=operation,
        parameters=parameters,
        issues=[],
        pending={},
    )


def microseconds(server: Server) -> int:
    """The server's clock, in microseconds since 1970 UTC."""
    return round(server.now().timestamp() * 1_000_000)
