"""Query, path and header parameters: the shared ones, and those of a type's search.

Source: FHIR R4 search.html, http.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.rest.media import FORMATS
from fhir_server.rest.openapi.examples import ID
from fhir_server.search.control import CONTAINED, CONTAINED_TYPES, LARGEST_PAGE, SUMMARIES, TOTALS
from fhir_server.search.registry import Registry, SearchParameter

Json = dict[str, Any]

FORMS: Mapping[str, str] = {
    "composite": "values of its components joined by `$`",
    "date": "`2026`, `2026-03`, `2026-03-02` or `2026-03-02T09:12:00+08:00`; before it `eq ne gt lt ge le sa eb ap`",
    "number": "a number; before it `eq ne gt lt ge le ap`",
    "quantity": "`number` or `number|system|code`; before it `eq ne gt lt ge le ap`",
    "reference": "`Type/id`, `id`, or an absolute URL",
    "special": "as its definition says",
    "string": "the beginning of the text, in any case; `:exact` the whole text, `:contains` a part of it",
    "token": "`code`, `system|code`, `|code` or `system|`; `:not` for all others",
    "uri": "the whole URI",
}
"""What a value of each parameter type looks like."""


def query_parameter(name: str, text: str, **schema: Any) -> Json:
    """A parameter of the address that may be left out."""
    return {"name": name, "in": "query", "description": text, "schema": {"type": "string", **schema}}


def _header(name: str, text: str, **schema: Any) -> Json:
    return query_parameter(name, text, **schema) | {"in": "header"}


def _part(name: str, text: str, example: str, pattern: str) -> Json:
    shown = query_parameter(name, text, pattern=f"^{pattern}$")
    return shown | {"in": "path", "required": True, "example": example}


ID_PATTERN = r"[A-Za-z0-9\-.]{1,64}"
ANSWERS = ["return=minimal", "return=representation", "return=OperationOutcome"]
SHARED: Mapping[str, Json] = {
    "id": _part("id", "the logical id", ID, ID_PATTERN),
    "version": _part("version", "the version id", "1", ID_PATTERN),
    "member": _part("member", "the type of the resources that are searched", "Observation", "[A-Z][A-Za-z]+"),
    "_format": query_parameter(
        "_format", "the form of the answer; stronger than `Accept`", enum=list(FORMATS)
    ),
    "_pretty": query_parameter("_pretty", "an answer for people, on many lines", enum=["true", "false"]),
    "mode": query_parameter("mode", "which statement", enum=["full", "normative"]),
    "_filter": query_parameter(
        "_filter",
        'criteria as an expression: `given eq "peter" and not (birthdate lt 2014-10-10 or active eq false)`',
    ),
    "_list": query_parameter("_list", "what stands in the List with this id"),
    "_type": query_parameter(
        "_type", "the types that are searched, separated by commas; without it all of them"
    ),
    "_count": query_parameter(
        "_count", f"entries of a page, at most {LARGEST_PAGE}", type="integer", minimum=0
    ),
    "_sort": query_parameter("_sort", "search parameters separated by commas; `-` before one: descending"),
    "_total": query_parameter("_total", "whether to count all matches", enum=list(TOTALS)),
    "_summary": query_parameter(
        "_summary", "a part of each resource, or only their number", enum=list(SUMMARIES)
    ),
    "_elements": query_parameter("_elements", "names of the elements to give, separated by commas"),
    "_include": query_parameter(
        "_include",
        "also what the matches refer to: `Type:parameter`, `Type:parameter:Target`, `Type:*`, `*:*` or `*`; "
        "`_include:iterate` follows what was included, too",
    ),
    "_revinclude": query_parameter(
        "_revinclude",
        "also what refers to the matches: `Type:parameter`, `Type:*`, `*:*` or `*`; also with `:iterate`",
    ),
    "_contained": query_parameter(
        "_contained", "whether resources that stand inside others are meant", enum=list(CONTAINED)
    ),
    "_containedType": query_parameter(
        "_containedType", "what is shown of a contained resource", enum=list(CONTAINED_TYPES)
    ),
    "_explain": query_parameter(
        "_explain", "tell how the search was carried out (administrators)", enum=["true", "false"]
    ),
    "_since": query_parameter("_since", "only versions since this moment: `2026-03-02T00:00:00+08:00`"),
    "_at": query_parameter("_at", "only versions that were current at this time"),
    "If-Match": _header("If-Match", 'the version that is to be changed: `W/"1"`'),
    "If-None-Match": _header("If-None-Match", 'the version that is known already: `W/"1"`'),
    "If-None-Match-any": _header("If-None-Match", "`*`: only when there is none yet"),
    "If-Modified-Since": _header("If-Modified-Since", "the moment that is known already, as an HTTP date"),
    "If-None-Exist": _header("If-None-Exist", "search criteria, as in an address: `identifier=system|value`"),
    "X-Security-Context": _header(
        "X-Security-Context", "the resource whose access rules the content has: `Patient/1`"
    ),
    "Prefer": _header("Prefer", "what the answer holds", enum=ANSWERS),
    "Prefer-handling": _header(
        "Prefer",
        "what to do with parameters that are not known",
        enum=["handling=strict", "handling=lenient"],
    ),
}
"""Component parameters by component name."""

EVERYWHERE = ("_format", "_pretty")
"""What every address below ``/fhir`` may say."""

CRITERIA = ("_filter", "_list")
"""Criteria that are no search parameters of a type."""

SEARCHING = (
    *CRITERIA,
    "_count",
    "_sort",
    "_total",
    "_summary",
    "_elements",
    "_include",
    "_revinclude",
    "_contained",
    "_containedType",
    "_explain",
)
"""What any search may say, besides the parameters of its type."""


def shared(*names: str) -> list[Json]:
    """References to shared parameters."""
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def search_parameters(registry: Registry, definitions: Definitions, type: str) -> dict[str, Json]:
    """The search parameters of ``type`` by component name (``Patient-name``), its own before those of all types."""
    known = sorted(
        registry.parameters(type).values(), key=lambda item: (item.code.startswith("_"), item.code)
    )
    return {
        f"{type}-{item.code}": query_parameter(item.code, search_text(definitions, item)) for item in known
    }


def search_form(registry: Registry, type: str | None) -> Json:
    """The same as the schema of a form; ``type`` None: for any or several types."""
    codes = sorted(registry.parameters(type)) if type else ["_type"]
    fields: Json = {code: {"type": "string"} for code in codes}
    fields |= {name: SHARED[name]["schema"] for name in (*SEARCHING, *EVERYWHERE)}
    return {"type": "object", "properties": fields}


def search_text(definitions: Definitions, parameter: SearchParameter) -> str:
    """What is searched, and what a value looks like."""
    meaning = parameter.description or _meaning(definitions, parameter)
    return f"{meaning}. **{parameter.kind}**: {FORMS[parameter.kind]}" if meaning else FORMS[parameter.kind]


def _meaning(definitions: Definitions, parameter: SearchParameter) -> str:
    """The short descriptions of the elements that its expression names."""
    names = f"{parameter.type}|DomainResource|Resource"
    paths = re.findall(rf"\b(?:{names})((?:\.[a-z][A-Za-z]*)+)\b(?!\()", parameter.expression)
    found = [_short(definitions, f"{parameter.type}{path}") for path in paths]
    return "; ".join(dict.fromkeys(text for text in found if text))


def _short(definitions: Definitions, path: str) -> str:
    """What the definitions say of the element at ``path``, which may lead into data types; "" when it is none."""
    home, _, name = path.rpartition(".")
    try:
        members = definitions.members(home).values()
    except KeyError:
        return ""
    return next((m.element.short for m in members if m.element.name in {name, f"{name}[x]"}), "")
