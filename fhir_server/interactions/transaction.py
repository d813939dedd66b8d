"""batch and transaction: ``POST [base]`` with a Bundle.

Source: FHIR R4 http.html#transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from fhir_server.errors import InvalidContent
from fhir_server.interactions.acceptance import accept_entry
from fhir_server.interactions.atomic import run_transaction
from fhir_server.interactions.batch import Context, Describe, run_batch
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.reading import read_bundle
from fhir_server.model.bundle import make_bundle
from fhir_server.model.resource import Resource
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller
from fhir_server.store import Record, Transaction

Also = Callable[[Transaction, Sequence[Record]], Awaitable[None]]


async def transaction(
    server: Server,
    caller: Caller,
    bundle: Resource | bytes,
    *,
    also: Also | None = None,
    prefer: str | None = None,
    base: str = "",
    lenient: bool | None = None,
    describe: Describe | None = None,
) -> Outcome:
    """Carry out a Bundle of type transaction (all or nothing) or batch (each entry on its own): 200.

    The answer is a Bundle with one entry for each of ``bundle``, in its order; ``prefer`` (minimal,
    representation or OperationOutcome) says what they carry. ``also`` writes more in the same store
    transaction, after everything else; it is given the records that the entries left. A door passes
    the body's bytes, so that a large Bundle is parsed entry by entry and nobody waits for it, ``lenient`` for the
    searches in it, and ``describe``, which gives the CapabilityStatement. Raises,
    for a transaction, one error with the faults of all entries, their expressions beginning with
    ``Bundle.entry[n]``.
    """
    pace = Pace()
    raw = bundle.raw if isinstance(bundle, Resource) else bundle
    context = Context(server, caller, base, prefer, lenient, describe)
    kind, entries = await read_bundle(server, raw, base, pace, partial(_examine, context))
    check_access(caller, kind, None)
    if kind == "transaction":
        answers = await run_transaction(context, entries, pace, also)
    elif also is None:
        answers = await run_batch(context, entries, pace)
    else:
        raise InvalidContent(
            "this must be a transaction, not a batch", expression="Bundle.type", code="value"
        )
    return Outcome(200, resource=make_bundle(f"{kind}-response", answers))


def _examine(context: Context, kind: str, entry: Entry, resource: Resource | None) -> None:
    """All entries of a transaction are checked before anything is done, those of a batch in their turn."""
    if kind == "transaction":
        accept_entry(context, entry, resource)
