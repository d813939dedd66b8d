"""What there is to say of each row of the route table: its words, its body, its headers and its answers.

Source: FHIR R4 http.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fhir_server.rest.openapi.parameters import SEARCHING

ALWAYS = ("Unauthenticated", "Forbidden", "NotAcceptable", "Throttled", "StoreUnavailable")
WRITING = (
    "InvalidContent",
    "UnsupportedMedia",
    "TooLarge",
    "Unprocessable",
    "Conflict",
    "PreconditionFailed",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """``summary`` may hold ``{type}``. ``answers``: status → what comes: resource, written (a resource with its
    address), bundle, capabilities, outcome or nothing.

    ``body`` is resource, resource-with-id, patch, form, form-of-any (type), transaction or None; ``headers`` and
    ``query`` name shared parameters, ``searches`` adds those of the type; ``errors`` are classes of ``errors.py``.
    """

    summary: str
    description: str
    answers: Mapping[str, str]
    body: str | None = None
    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    searches: bool = False
    errors: tuple[str, ...] = ()


HISTORY = Facts(
    "",
    "The newest version first, deletions included; pages are linked by `next`.",
    {"200": "bundle"},
    query=("_count", "_since", "_at"),
    errors=("InvalidSearch",),
)

DELETED = {"204": "nothing", "200": "outcome"}
"""An OperationOutcome comes for who prefers it."""

FACTS: Mapping[tuple[str, str], Facts] = {
    ("GET", "metadata"): Facts(
        "What this server can do (CapabilityStatement)",
        "Made from what really answers. Needs no token.",
        {"200": "capabilities"},
        query=("mode",),
        errors=("InvalidSearch", "NotImplementedHere"),
    ),
    ("POST", ""): Facts(
        "Carry out a transaction or a batch",
        "A `transaction` is done as a whole or not at all; references to `urn:uuid:…` of other entries are resolved. "
        "The entries of a `batch` are done one by one.",
        {"200": "bundle"},
        body="transaction",
        headers=("Prefer",),
        errors=WRITING,
    ),
    ("GET", "_history"): Facts(
        "What happened to all resources",
        HISTORY.description,
        HISTORY.answers,
        query=HISTORY.query,
        errors=HISTORY.errors,
    ),
    ("GET", ""): Facts(
        "Search several types of resources, or all",
        "`_type` names them. Criteria are those that all of them have (`_lastUpdated`, `_tag` …); the matches of all "
        "types come in one order.",
        {"200": "bundle"},
        query=("_type", *SEARCHING),
        headers=("Prefer-handling",),
        errors=("InvalidSearch",),
    ),
    ("POST", "_search"): Facts(
        "Search several types with a form",
        "The same as `GET`, for criteria that should not stand in an address.",
        {"200": "bundle"},
        body="form",
        headers=("Prefer-handling",),
        errors=("InvalidSearch", "UnsupportedMedia"),
    ),
    ("GET", "{type}/{id}/{member}"): Facts(
        "Search what belongs to a {type}",
        "The resources of one type in its compartment; criteria are those of that type.",
        {"200": "bundle"},
        query=SEARCHING,
        headers=("Prefer-handling",),
        errors=("InvalidSearch", "NotFound"),
    ),
    ("POST", "{type}/{id}/{member}/_search"): Facts(
        "Search what belongs to a {type} with a form",
        "The same as `GET`, for criteria that should not stand in an address.",
        {"200": "bundle"},
        body="form-of-any",
        headers=("Prefer-handling",),
        errors=("InvalidSearch", "NotFound", "UnsupportedMedia"),
    ),
    ("GET", "{type}/{id}/*"): Facts(
        "Search everything that belongs to a {type}",
        "The resources of all types in its compartment, or of those that `_type` names, in one order.",
        {"200": "bundle"},
        query=("_type", *SEARCHING),
        headers=("Prefer-handling",),
        errors=("InvalidSearch", "NotFound"),
    ),
    ("POST", "{type}/{id}/*/_search"): Facts(
        "Search everything that belongs to a {type} with a form",
        "The same as `GET`, for criteria that should not stand in an address.",
        {"200": "bundle"},
        body="form-of-any",
        headers=("Prefer-handling",),
        errors=("InvalidSearch", "NotFound", "UnsupportedMedia"),
    ),
    ("GET", "{type}"): Facts(
        "Search {type}",
        "Criteria are combined with AND; values separated by commas with OR. A parameter that is not known is an error "
        "unless `Prefer: handling=lenient` is sent. Pages are linked by `next`.",
        {"200": "bundle"},
        headers=("Prefer-handling",),
        searches=True,
        errors=("InvalidSearch",),
    ),
    ("POST", "{type}/_search"): Facts(
        "Search {type} with a form",
        "The same as `GET`, for criteria that should not stand in an address (names, numbers of persons).",
        {"200": "bundle"},
        body="form",
        headers=("Prefer-handling",),
        errors=("InvalidSearch", "UnsupportedMedia"),
    ),
    ("POST", "{type}"): Facts(
        "Create a {type}",
        "The server chooses the id. With `If-None-Exist` nothing is created when the criteria find one already.",
        {"201": "written", "200": "written"},
        body="resource",
        headers=("If-None-Exist", "Prefer"),
        errors=WRITING,
    ),
    ("PUT", "{type}"): Facts(
        "Update the one {type} that the criteria find, or create it",
        "A conditional update: the search parameters stand in the address, as for a search.",
        {"200": "written", "201": "written"},
        body="resource",
        headers=("If-Match", "If-None-Match-any", "Prefer"),
        searches=True,
        errors=("InvalidSearch", *WRITING),
    ),
    ("PATCH", "{type}"): Facts(
        "Change parts of the one {type} that the criteria find",
        "As a patch by id; 404 when nothing matches, 412 when several do.",
        {"200": "written"},
        body="patch",
        headers=("If-Match", "Prefer"),
        searches=True,
        errors=("NotFound", "InvalidSearch", *WRITING),
    ),
    ("DELETE", "{type}"): Facts(
        "Delete the {type} that the criteria find",
        "When several match, `FHIR_CONDITIONAL_DELETE` decides: all are deleted, or none (412). "
        "Deleting what is not there is no error.",
        DELETED,
        headers=("If-Match", "Prefer"),
        searches=True,
        errors=("InvalidSearch", "Conflict", "PreconditionFailed"),
    ),
    ("GET", "{type}/_history"): Facts(
        "What happened to resources of type {type}",
        HISTORY.description,
        HISTORY.answers,
        query=HISTORY.query,
        errors=HISTORY.errors,
    ),
    ("GET", "{type}/{id}"): Facts(
        "Read a {type}",
        "`ETag` is its version, `Last-Modified` the time of its last change.",
        {"200": "resource", "304": "nothing"},
        headers=("If-None-Match", "If-Modified-Since"),
        query=("_summary", "_elements"),
        errors=("NotFound", "Gone"),
    ),
    ("PUT", "{type}/{id}"): Facts(
        "Update a {type}, or create it with this id",
        "The body's id is the one of the address. `If-Match` refuses the change when somebody else was faster.",
        {"200": "written", "201": "written"},
        body="resource-with-id",
        headers=("If-Match", "If-None-Match-any", "Prefer"),
        errors=WRITING,
    ),
    ("PATCH", "{type}/{id}"): Facts(
        "Change parts of a {type}",
        "A JSON Patch (RFC 6902), a merge patch (RFC 7396), or a FHIRPath Patch (a Parameters); the result is checked "
        "like an update, and numbers keep their text.",
        {"200": "written"},
        body="patch",
        headers=("If-Match", "Prefer"),
        errors=("NotFound", "Gone", *WRITING),
    ),
    ("DELETE", "{type}/{id}"): Facts(
        "Delete a {type}",
        "Its versions stay readable. Deleting what is not there is no error.",
        DELETED,
        headers=("If-Match", "Prefer"),
        errors=("Conflict", "PreconditionFailed"),
    ),
    ("GET", "{type}/{id}/_history"): Facts(
        "The versions of a {type}",
        HISTORY.description,
        HISTORY.answers,
        query=HISTORY.query,
        errors=("NotFound", *HISTORY.errors),
    ),
    ("DELETE", "{type}/{id}/_history"): Facts(
        "Remove the past versions of a {type} for good",
        "For administrators. The current version stays; an AuditEvent is kept.",
        DELETED,
        headers=("Prefer",),
        errors=("NotFound",),
    ),
    ("DELETE", "{type}/{id}/_history/{version}"): Facts(
        "Remove a past version of a {type} for good",
        "For administrators. The current version cannot be removed (409); an AuditEvent is kept.",
        DELETED,
        headers=("Prefer",),
        errors=("NotFound", "Conflict"),
    ),
    ("GET", "{type}/{id}/_history/{version}"): Facts(
        "Read a version of a {type}",
        "A version never changes.",
        {"200": "resource", "304": "nothing"},
        headers=("If-None-Match", "If-Modified-Since"),
        query=("_summary", "_elements"),
        errors=("NotFound", "Gone"),
    ),
}
"""One row per route that is no operation, by method and path."""
