"""How far the index is, as Parameters: the jobs, and each search parameter that is not R4's own or not complete.

Source: FHIR R4 parameters.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_server.interactions.indexing.jobs import Job, Unit
from fhir_server.model.resource import Json
from fhir_server.search.contained import is_contained
from fhir_server.search.registry import Registry, SearchParameter
from fhir_server.search.unfinished import Progress


def report(registry: Registry, jobs: Iterable[Job]) -> Json:
    """A ``job`` for each of ``jobs``, and a ``parameter`` for each of the parameters."""
    told = [{"name": "job", "part": _job(job)} for job in jobs]
    told += [{"name": "parameter", "part": part} for part in _parameters(registry)]
    return {"resourceType": "Parameters", "parameter": told}


def _job(job: Job) -> list[Json]:
    shown = [unit for unit in job.units if not is_contained(unit.type)]
    return [
        {"name": "id", "valueId": job.id},
        {"name": "status", "valueCode": job.status},
        {"name": "reason", "valueCode": job.reason},
        {"name": "requested", "valueInstant": job.requested},
        *([{"name": "finished", "valueInstant": job.finished}] if job.finished else []),
        *([{"name": "fault", "valueString": job.fault}] if job.fault else []),
        *[{"name": "type", "part": _unit(unit)} for unit in shown],
    ]


def _unit(unit: Unit) -> list[Json]:
    return [
        {"name": "code", "valueCode": unit.type},
        {"name": "status", "valueCode": unit.state},
        *_counts(unit),
    ]


def _counts(progress: Progress) -> list[Json]:
    return [
        {"name": "done", "valueUnsignedInt": progress.done},
        {"name": "total", "valueUnsignedInt": progress.total},
    ]


def _parameters(registry: Registry) -> Iterator[list[Json]]:
    held = {progress.type for progress in registry.unfinished.values()}
    for type in sorted(registry.definitions.resource_types & (held | registry.custom_types)):
        for parameter in registry.parameters(type).values():
            progress = registry.unfinished.concerns(parameter)
            if progress is not None or not registry.is_standard(parameter.url):
                yield _parameter(parameter, progress)


def _parameter(parameter: SearchParameter, progress: Progress | None) -> list[Json]:
    return [
        {"name": "base", "valueCode": parameter.type},
        {"name": "code", "valueCode": parameter.code},
        {"name": "url", "valueUri": parameter.url},
        {"name": "status", "valueCode": "complete" if progress is None else "building"},
        *(_counts(progress) if progress else []),
    ]
