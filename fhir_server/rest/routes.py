"""The table of routes: method and path shape → FHIR interaction → the function that answers it.

Adding an interaction means adding a row. ``{type}`` is checked against the definitions, ``$operation``
stands for every operation found by walking the operations folders.
Source: FHIR R4 http.html#summary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from fhir_server.errors import InvalidSearch, NotImplementedHere
from fhir_server.interactions.capabilities import Forms, capabilities
from fhir_server.interactions.context import Outcome
from fhir_server.rest import calls
from fhir_server.rest.headers import PATCHES
from fhir_server.rest.media import FHIR_JSON, FHIR_XML
from fhir_server.rest.operation import invoke_on_instance, invoke_on_system, invoke_on_type
from fhir_server.rest.reply import Reply, reply_delete, reply_plain, reply_read, reply_write
from fhir_server.rest.request import Request


@dataclass(frozen=True, slots=True)
class Route:
    """One row. ``path`` is below ``/fhir/``; ``open`` means that no token is asked for."""

    method: str
    path: str
    interaction: str
    call: Callable[[Request], Awaitable[Outcome]]
    reply: Callable[[Request, Outcome], Reply] = reply_plain
    open: bool = False

    @property
    def typed(self) -> bool:
        """True when the path begins with a resource type."""
        return self.path.startswith("{type}")


MOST_MADE = 4


async def metadata(request: Request) -> Outcome:
    """``GET metadata``: the CapabilityStatement, made of this very table.

    It is kept for each base, which a client's ``Host`` names: so that many names do not fill the memory,
    all are forgotten when there are too many. Raises InvalidSearch for a parameter, NotImplementedHere for a
    ``mode`` that asks for another statement.
    """
    _require_mode(request)
    if len(request.server.made) > MOST_MADE:
        request.server.made.clear()
    return await capabilities(request.server, ROUTES, FORMS, request.base)


FORMS = Forms((FHIR_JSON, FHIR_XML, "json", "xml"), tuple(PATCHES.decode().split(", ")))
"""What the door speaks: without the media types that say nothing of FHIR."""


def _require_mode(request: Request) -> None:
    for name, value in request.query:
        if name != "mode":
            raise InvalidSearch(
                f"metadata has no parameter {name[:64]}; allowed: mode", expression=f"http.{name[:64]}"
            )
        if value not in {"full", "normative"}:
            raise NotImplementedHere(
                f"there is no statement of the mode {value[:64]}; allowed: full, normative",
                expression="http.mode",
            )


async def transaction(request: Request) -> Outcome:
    """``POST /fhir``: a transaction or a batch, as the Bundle says."""
    return await calls.transaction(request, partial(metadata, request))


ROUTES = (
    Route("GET", "metadata", "capabilities", metadata, open=True),
    Route("POST", "", "transaction", transaction),
    Route("GET", "$operation", "operation", invoke_on_system),
    Route("POST", "$operation", "operation", invoke_on_system),
    Route("GET", "{type}/$operation", "operation", invoke_on_type),
    Route("POST", "{type}/$operation", "operation", invoke_on_type),
    Route("GET", "{type}/{id}/$operation", "operation", invoke_on_instance),
    Route("POST", "{type}/{id}/$operation", "operation", invoke_on_instance),
    Route("GET", "_history", "history-system", calls.history),
    Route("GET", "", "search-system", calls.search_system),
    Route("POST", "_search", "search-system", calls.search_system_by_form),
    Route("GET", "{type}", "search-type", calls.search),
    Route("POST", "{type}/_search", "search-type", calls.search_by_form),
    Route("POST", "{type}", "create", calls.create, reply_write),
    Route("PUT", "{type}", "update", calls.update_by_criteria, reply_write),
    Route("PATCH", "{type}", "patch", calls.patch_by_criteria, reply_write),
    Route("DELETE", "{type}", "delete", calls.delete_by_criteria, reply_delete),
    Route("GET", "{type}/_history", "history-type", calls.history_of_type),
    Route("GET", "{type}/{id}", "read", calls.read, reply_read),
    Route("PUT", "{type}/{id}", "update", calls.update, reply_write),
    Route("PATCH", "{type}/{id}", "patch", calls.patch, reply_write),
    Route("DELETE", "{type}/{id}", "delete", calls.delete, reply_delete),
    Route("GET", "{type}/{id}/_history", "history-instance", calls.history_of_instance),
    Route("DELETE", "{type}/{id}/_history", "delete-history", calls.delete_history, reply_delete),
    Route("GET", "{type}/{id}/_history/{version}", "vread", calls.vread, reply_read),
    Route(
        "DELETE",
        "{type}/{id}/_history/{version}",
        "delete-history-version",
        calls.delete_version,
        reply_delete,
    ),
    Route("GET", "{type}/{id}/{member}", "search-compartment", calls.search_compartment),
    Route("POST", "{type}/{id}/{member}/_search", "search-compartment", calls.search_compartment_by_form),
    Route("GET", "{type}/{id}/*", "search-compartment", calls.search_compartment),
    Route("POST", "{type}/{id}/*/_search", "search-compartment", calls.search_compartment_by_form),
)

LITERALS = frozenset({"metadata", "_history", "_search"})


def shape_of(segments: Sequence[str]) -> str:
    """The shape a path has: literals stay, an operation becomes ``$``, a wildcard ``**``, anything else ``*``;
    nothing at all stays nothing, which no row has."""
    if len(segments) == 2 and segments[1][:1] not in {"$", "_"}:
        return "*/*"
    return "/".join([_shape_part(segment) for segment in segments])


def _shape_part(segment: str) -> str:
    if segment.startswith("$"):
        return "$"
    if segment == "*":
        return "**"
    return segment if not segment or segment in LITERALS else "*"


def table(routes: Sequence[Route] = ROUTES) -> Mapping[str, Mapping[str, Route]]:
    """``routes`` by shape and method; HEAD is answered by the row of GET."""
    found: dict[str, dict[str, Route]] = {}
    for route in routes:
        methods = found.setdefault(shape_of(route.path.split("/") if route.path else []), {})
        methods[route.method] = route
        if route.method == "GET":
            methods["HEAD"] = route
    return found
