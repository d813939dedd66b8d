"""The two forms of a resource in the documents: JSON with its schema, and the same as XML text.

OpenAPI describes XML by the JSON schema of it, which FHIR's XML (values in attributes) does not follow; so XML is shown
as text, with an example that can be sent. Source: FHIR R4 xml.html; OpenAPI 3.1 §4.8.14.
"""

from __future__ import annotations

from typing import Any

import orjson

from fhir_server.definitions import Definitions
from fhir_server.formats import indent, to_xml
from fhir_server.rest.media import FHIR_JSON, FHIR_XML

Json = dict[str, Any]
XML_SCHEMA: Json = {"type": "string", "description": "the same resource as FHIR XML"}
XML = "-xml"
"""What the name of an example ends with that is XML."""


def both_forms(json: Json, xml: Json | None = None) -> Json:
    """The ``content`` of a body: ``json`` is the media type object of JSON, ``xml`` more of XML's than its schema."""
    return {FHIR_JSON: json, FHIR_XML: {"schema": XML_SCHEMA} | (xml or {})}


def named_forms(schema: Json, example: str) -> Json:
    """The same with the component example ``example`` and its twin in XML."""
    return both_forms({"schema": schema, "examples": _named(example)}, {"examples": _named(example + XML)})


ANY_CONTENT = "*/*"
BINARY: Json = {
    "schema": {
        "type": "string",
        "format": "binary",
        "description": "content of any other media type, as it is",
    }
}
CONTENT_SENT = {"application/octet-stream": BINARY, ANY_CONTENT: BINARY}
"""What may be sent to ``Binary`` besides the resource; one media type is named that can be chosen from a list."""
CONTENT_READ = {ANY_CONTENT: BINARY}
"""What a Binary is read as, unless ``Accept`` or ``_format`` asks for the resource."""


def _named(example: str) -> Json:
    return {"example": {"$ref": f"#/components/examples/{example}"}}


def with_twins(definitions: Definitions, examples: dict[str, Json]) -> dict[str, Json]:
    """``examples`` (component examples of resources) and each as XML."""
    twins = {name + XML: {"value": xml_text(definitions, item["value"])} for name, item in examples.items()}
    return examples | twins


def xml_text(definitions: Definitions, resource: Json) -> str:
    """``resource`` as indented XML."""
    return indent(to_xml(definitions, orjson.dumps(resource))).decode()
