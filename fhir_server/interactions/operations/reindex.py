"""``$reindex`` and what belongs to it: have index rows made anew, see how far that is, end it.

The rows of a type are removed and made again, so its searches are refused (503) while it is done; types that are not
begun yet are searched as before. For administrators. These operations are this server's own.
"""

from __future__ import annotations

import orjson

from fhir_server.errors import Conflict, InvalidContent, NotFound
from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.interactions.indexing.indexer import Indexer
from fhir_server.interactions.indexing.report import report
from fhir_server.interactions.operations.definition import OWN, definition, giving, operations_of, taking
from fhir_server.interactions.parameters import read_inputs
from fhir_server.interactions.read import read
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller


async def reindex(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """Ask for a job, and tell it. Raises Forbidden, and InvalidContent for a type or parameter that is not known."""
    check_access(caller, "reindex", invocation.type)
    inputs = read_inputs(REINDEX, invocation.parameters)
    types = [invocation.type] if invocation.type else list(inputs.all("type"))
    urls = list(inputs.all("url"))
    for type in types:
        if type not in server.definitions.resource_types:
            raise InvalidContent(f"there is no resource type {type[:64]}", expression="Parameters.parameter")
    for url in urls:
        if server.parameters.definition(url) is None:
            raise InvalidContent(
                f"no search parameter in force has the url {url[:200]}", expression="Parameters.parameter"
            )
    return await _requested(server, caller, types, urls)


async def reindex_parameter(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """The same for one SearchParameter. Raises NotFound, and Conflict for one that is not in force."""
    check_access(caller, "reindex", "SearchParameter")
    found = await read(server, caller, "SearchParameter", str(invocation.id))
    if found.record is None:
        raise NotFound(f"there is no SearchParameter/{invocation.id}")
    url = orjson.loads(found.record.content)["url"]
    definition = server.parameters.definition(url)
    if definition is None:
        raise Conflict(f"{url} is not in force: only an active SearchParameter is indexed")
    return await _requested(server, caller, sorted(server.parameters.types_of(definition.base)), [url])


async def status(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """The jobs that are not done, or the one asked for, and each parameter's state."""
    check_access(caller, "reindex")
    indexer, job = _indexer(server), read_inputs(STATUS, invocation.parameters).one("job")
    jobs = indexer.ledger.jobs if job is None else [await indexer.ledger.job(job)]
    return Outcome(200, resource=orjson.dumps(report(server.parameters, jobs)))


async def cancel(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """End a job: the type it works on is finished, those after it are left as they are."""
    check_access(caller, "reindex")
    job = await _indexer(server).cancel(read_inputs(CANCEL, invocation.parameters).one("job"))
    return Outcome(200, resource=orjson.dumps(report(server.parameters, [job])))


async def _requested(server: Server, caller: Caller, types: list[str], urls: list[str]) -> Outcome:
    job = await _indexer(server).request(types, urls, caller.client)
    return Outcome(200, resource=orjson.dumps(report(server.parameters, [job])))


def _indexer(server: Server) -> Indexer:
    if server.indexer is None:
        raise NotFound("this server has nobody who indexes", code="not-supported")
    return server.indexer


JOB = taking("job", "id", "the id of a job, as $reindex told it")
TOLD = giving("Parameters", "`job` for each job, `parameter` for each search parameter that is told of")

OPERATIONS: tuple[Operation, ...] = (
    *operations_of(
        definition(
            "server-reindex",
            "reindex",
            "Have the index rows made anew: of everything, of some types, or of some search parameters. Searches of "
            "what is being made are refused meanwhile. For administrators.",
            [
                taking("type", "code", "a resource type; none: all of them", max="*"),
                taking("url", "uri", "a search parameter; none: all of them", max="*"),
                TOLD,
            ],
            levels=("system", "type"),
            affects_state=True,
            root=OWN,
        ),
        reindex,
        alone=True,
    ),
    *operations_of(
        definition(
            "SearchParameter-reindex",
            "reindex",
            "Have the index rows of this search parameter made anew. For administrators.",
            [TOLD],
            resource="SearchParameter",
            affects_state=True,
            root=OWN,
        ),
        reindex_parameter,
        alone=True,
    ),
    *operations_of(
        definition(
            "reindex-status",
            "reindex-status",
            "How far the index is: the jobs that are not done, and each search parameter that was added or is not "
            "complete. For administrators.",
            [JOB, TOLD],
            levels=("system",),
            root=OWN,
        ),
        status,
        alone=True,
    ),
    *operations_of(
        definition(
            "reindex-cancel",
            "reindex-cancel",
            "End a job that was asked for. The type it works on is finished; those after it stay as they are. For "
            "administrators.",
            [{**JOB, "min": 1}, TOLD],
            levels=("system",),
            affects_state=True,
            root=OWN,
        ),
        cancel,
        alone=True,
    ),
)
REINDEX, _, _, STATUS, CANCEL = OPERATIONS
