"""What every interaction is given, and how the domain joins a write without being imported.

``app.py`` builds one ``Server``; interactions are plain functions
``async def create(server, caller, resource, …) -> Outcome``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

import msgspec

from fhir_server.definitions import Definitions
from fhir_server.errors import Issue
from fhir_server.interactions.indexing.indexer import Indexer
from fhir_server.interactions.own import Own
from fhir_server.model.resource import Json, Resource
from fhir_server.search.extract import Extractor
from fhir_server.search.registry import Registry
from fhir_server.security.caller import Caller
from fhir_server.store import Record, Store, Transaction

if TYPE_CHECKING:
    from fhir_server.interactions.write import Corridor


@dataclass(slots=True)
class Change:
    """One write on its way into the store, as a rule sees it.

    ``before`` and ``after`` are parsed resources (None: created / deleted). A rule returns issues;
    an error issue undoes the whole write. ``operation`` names the $operation behind the write.
    ``if_match`` is the version the caller says the resource has (already compared with ``before``),
    ``cause`` the change that this one accompanies (None: the caller's own write). ``raw`` is ``after``
    as bytes, from which a rule that replaces or copies it keeps every number's text. ``pending`` is what
    the same Bundle is still going to write, by (type, id): a Task's rule can see the ServiceRequest that
    stands after it.
    """

    server: Server
    caller: Caller
    transaction: Transaction
    before: Json | None
    after: Json | None
    operation: str | None = None
    parameters: Json | None = None
    companions: list[Resource] = field(default_factory=list)
    replacement: Resource | None = None
    if_match: int | None = None
    cause: Change | None = None
    raw: bytes = b""
    pending: Mapping[tuple[str, str], Json] = field(default_factory=dict)
    later: dict[Act, None] = field(default_factory=dict)

    def also(self, resource: Resource) -> None:
        """Write ``resource`` (created when it has no id, else put) in the same transaction, by its own rules."""
        self.companions.append(resource)

    def afterwards(self, act: Act) -> None:
        """Have ``act`` start its work when the transaction has ended, and the answer wait for it.

        It is called whether the transaction was committed or undone: it looks itself at what there is.
        """
        self.later[act] = None

    def replace(self, resource: Resource) -> None:
        """Keep ``resource`` instead of ``after``: for elements only the server may set."""
        self.replacement = resource
        self.after = resource.data


Act = Callable[[], Awaitable[None]]
Rule = Callable[[Change], Awaitable[Sequence[Issue]]]
Adopt = Callable[["Server", Transaction, Json, Caller], Awaitable[str | None]]
Stale = Callable[["Server", Caller, Record], Awaitable[Sequence[Issue]]]
Validate = Callable[[Json], list[Issue]]


class Outcome(msgspec.Struct, frozen=True):
    """The answer of an interaction, before a door gives it a form.

    ``record`` is the version read or written (None: deleted or none); ``resource`` a resource made for
    the answer (Bundle, OperationOutcome, Parameters) as bytes; ``stream`` the same in pieces, for one that is too
    large to be held (then ``resource`` is None); ``status`` the HTTP status.
    """

    status: int
    record: Record | None = None
    resource: bytes | None = None
    issues: tuple[Issue, ...] = ()
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a $operation: where it was called, with what, under which preconditions.

    ``parameters`` is a Parameters resource: what the body and the query say together. ``base`` is the address of
    this server, for links; ``safe`` says that the request is a GET, which must not change anything; ``lenient``
    how a search that the operation does treats unknown parameters (None: as the server is set); ``cursor`` where a
    page begins (``Operation.pages``); ``kept`` what links repeat of the door's own (``_format``, ``_pretty``); ``body``
    the body as JSON, for who must keep every number's text.
    """

    type: str | None
    id: str | None
    parameters: Json | None
    if_match: int | None = None
    request_id: str | None = None
    base: str = ""
    safe: bool = False
    lenient: bool | None = None
    cursor: str | None = None
    kept: Sequence[tuple[str, str]] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Operation:
    """A $operation: found by walking the ``operations`` folders, each file one ``OPERATION``.

    ``level`` is instance, type or system; ``definition`` its OperationDefinition, which the
    CapabilityStatement and Swagger are made from. ``searches``: it also takes the search parameters of its type;
    ``pages``: it can answer page by page, with links that bring a ``_cursor``; ``alone``: it opens transactions of
    its own while it is answered, so it cannot be part of one.
    """

    code: str
    types: tuple[str, ...]
    level: str
    affects_state: bool
    run: Callable[[Server, Caller, Invocation], Awaitable[Outcome]]
    definition: Json
    searches: bool = False
    pages: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """All that interactions need. ``now`` and ``new_id`` are inputs, so a test can fix them.

    ``rules``: type → checks run inside the transaction of a write. ``adopt``: type → a function that
    names the existing resource a conditional write that matched nothing really means (an arriving
    Encounter is the planned one). ``stale``: type → what else to tell a caller whose ``If-Match`` names
    another version than the one that is current. ``extract``: resource → index rows. ``made`` keeps answers that
    are made once (the CapabilityStatement), ``own`` are the definitions that the server runs on.
    ``conditional_delete``: single or multiple, how many resources one conditional delete may remove. ``indexer``
    builds the index of search parameters that are put in force. ``within``: the corridor that is open around
    everything done with this server, which takes part in it; ``store`` is then the one that the corridor sees.
    """

    store: Store
    definitions: Definitions
    parameters: Registry
    validate: Validate
    extract: Extractor
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    timezone: tzinfo
    rules: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    adopt: Mapping[str, Adopt] = field(default_factory=dict)
    stale: Mapping[str, Stale] = field(default_factory=dict)
    operations: Mapping[str, tuple[Operation, ...]] = field(default_factory=dict)
    lenient: bool = False
    reference_check: bool = False
    conditional_delete: str = "single"
    made: dict[Hashable, bytes] = field(default_factory=dict)
    own: Own = field(default_factory=Own)
    indexer: Indexer | None = None
    within: Corridor | None = None
