"""The errors that a call can end with, as shared responses: made from the tree in ``errors.py``."""

from __future__ import annotations

from typing import Any

from fhir_server.errors import FhirError, outcome
from fhir_server.rest.openapi.forms import both_forms
from fhir_server.rest.openapi.schemas import reference_to

Json = dict[str, Any]


def error_responses() -> dict[str, Json]:
    """A response for every class of error, by the class's name; all of them have an OperationOutcome as body."""
    return {kind.__name__: _response(kind) for kind in _tree(FhirError) if kind is not FhirError}


def _tree(kind: type[FhirError]) -> list[type[FhirError]]:
    ours = [below for below in kind.__subclasses__() if below.__module__ == FhirError.__module__]
    return [kind, *(item for below in ours for item in _tree(below))]


def _response(kind: type[FhirError]) -> Json:
    text = " ".join((kind.__doc__ or "").replace("``", "").split())
    example = outcome(kind(text).issues)
    content = both_forms({"schema": reference_to("OperationOutcome"), "example": example})
    return {"description": text, "content": content}


def error_references(names: tuple[str, ...]) -> Json:
    """The ``responses`` members for the classes ``names``; of two with one status the first is shown."""
    kinds = {kind.__name__: kind for kind in _tree(FhirError)}
    shown: Json = {}
    for name in names:
        shown.setdefault(str(kinds[name].status), {"$ref": f"#/components/responses/{name}"})
    return shown
