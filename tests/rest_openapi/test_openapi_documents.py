"""The documents are sound OpenAPI 3.1, complete, and what they show can be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from fhir_server.errors import FhirError
from fhir_server.formats import from_xml
from fhir_server.rest.headers import PATCHES
from fhir_server.rest.media import FHIR_JSON, FHIR_XML, FORMATS
from fhir_server.rest.openapi import OpenApi
from fhir_server.rest.openapi.examples import example, with_id
from fhir_server.rest.openapi.interactions import FACTS
from fhir_server.rest.openapi.responses import error_responses
from fhir_server.rest.routes import ROUTES
from fhir_server.search.control import INCLUSIONS, READERS
from fhir_server.search.criteria import SPECIAL
from fhir_server.validation import Validator

METHODS = {"get", "put", "post", "delete", "patch", "head"}
PLACES = {"path", "query", "header"}
SOME_TYPES = ["Patient", "Task", "Observation", "Bundle", "Parameters", "StructureDefinition", "Binary"]


def calls(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, call in item.items():
            if method in METHODS:
                yield path, call


def told(document: dict[str, Any], path: str, call: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The parameters of ``call``, its path's among them, by place and name; each is said once."""
    everywhere = document["paths"][path].get("parameters", [])
    parameters = [resolved(document, item) for item in [*everywhere, *call["parameters"]]]
    found = {(item["in"], item["name"]): item for item in parameters}
    assert len(found) == len(parameters)
    return found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    return resolve(document, value["$ref"]) if "$ref" in value else value


def check_document(document: dict[str, Any]) -> None:
    """The rules of the OpenAPI specification that generated documents can break."""
    assert document["openapi"].startswith("3.1.")
    assert {"title", "version"} <= document["info"].keys()
    for reference in set(references(document)):
        resolve(document, reference)
    numbers = Counter(call["operationId"] for _, call in calls(document))
    assert [name for name, number in numbers.items() if number > 1] == []
    tags = {tag["name"] for tag in document["tags"]}
    for path, call in calls(document):
        assert path.startswith("/")
        check_call(document, path, call, tags)
    for name, schema in document["components"]["schemas"].items():
        assert name.replace(".", "").replace("-", "").isalnum()
        Draft202012Validator.check_schema(schema)


def check_call(document: dict[str, Any], path: str, call: dict[str, Any], tags: set[str]) -> None:
    names = told(document, path, call)
    parameters = names.values()
    assert all(place in PLACES for place, _ in names)
    assert all(item["schema"] and item["description"] for item in parameters)
    in_path = {part[1:-1] for part in path.split("/") if part.startswith("{")}
    assert {name for place, name in names if place == "path"} == in_path
    assert all(item["required"] for item in parameters if item["in"] == "path")
    assert set(call["tags"]) <= tags
    assert call["summary"]
    assert call["responses"]
    assert all(resolved(document, answer)["description"] for answer in call["responses"].values())
    for requirement in call.get("security", ()):
        assert requirement.keys() <= document["components"]["securitySchemes"].keys()


@pytest.mark.parametrize("type", SOME_TYPES)
def test_document_of_a_type_is_sound(documents: OpenApi, type: str) -> None:
    check_document(orjson.loads(documents.of_type(type)))


def test_document_of_the_system_is_sound(documents: OpenApi) -> None:
    document = orjson.loads(documents.of_system())
    check_document(document)
    assert {"/", "/metadata", "/_history"} <= document["paths"].keys()
    assert document["paths"]["/metadata"]["get"]["security"] == []


def test_whole_document_is_sound_and_has_every_type(documents: OpenApi) -> None:
    document = orjson.loads(documents.whole())
    check_document(document)
    assert len(documents.names) == 147
    assert all(f"/{name}/{{id}}" in document["paths"] for name in documents.names if name != "System")


def test_the_check_of_documents_can_fail(documents: OpenApi) -> None:
    document = orjson.loads(documents.of_type("Patient"))
    del document["components"]["parameters"]["id"]
    with pytest.raises(KeyError):
        check_document(document)


def test_unknown_type_has_no_document(documents: OpenApi) -> None:
    for name in ("Patience", "HumanName", "DomainResource"):
        with pytest.raises(KeyError):
            documents.of_type(name)


def test_documents_are_made_once(documents: OpenApi) -> None:
    assert documents.of_type("Patient") is documents.of_type("Patient")


def test_every_route_is_described() -> None:
    rows = {(row.method, row.path) for row in ROUTES if row.interaction != "operation"}
    assert rows == FACTS.keys()


def test_every_route_of_a_type_is_in_its_document(documents: OpenApi) -> None:
    paths = orjson.loads(documents.of_type("Patient"))["paths"]
    for row in ROUTES:
        if row.typed and row.interaction != "operation":
            assert row.method.lower() in paths["/" + row.path.replace("{type}", "Patient")]


def test_every_operation_is_in_the_documents_of_its_types(documents: OpenApi, parts: Any) -> None:
    assert parts.operations
    for code, operations in parts.operations.items():
        for operation in operations:
            for type in operation.types or SOME_TYPES:
                if operation.level == "system":
                    methods = orjson.loads(documents.of_system())["paths"][f"/${code}"]
                else:
                    place = f"/{type}/{{id}}" if operation.level == "instance" else f"/{type}"
                    methods = orjson.loads(documents.of_type(type))["paths"][f"{place}/${code}"]
                assert "post" in methods
                assert not (operation.affects_state and "get" in methods)
    paths = orjson.loads(documents.of_type("Patient"))["paths"]
    assert not [path for path in paths if "$accept" in path]


def test_an_operation_that_changes_nothing_is_called_by_address_too(documents: OpenApi) -> None:
    paths = orjson.loads(documents.of_type("Observation"))["paths"]
    names = [
        resolved(orjson.loads(documents.of_type("Observation")), item)["name"]
        for item in paths["/Observation/$lastn"]["get"]["parameters"]
    ]
    assert {"max", "patient", "category", "code"} <= set(names)
    assert paths["/Observation/$validate"].keys() & METHODS == {"get", "post"}
    assert paths["/Observation/{id}/$meta-add"].keys() & METHODS == {"post"}


def test_every_search_parameter_is_described(documents: OpenApi, parts: Any) -> None:
    for type in SOME_TYPES:
        document = orjson.loads(documents.of_type(type))
        search = [resolved(document, item) for item in document["paths"][f"/{type}"]["get"]["parameters"]]
        shown = {item["name"] for item in search}
        assert parts.parameters.parameters(type).keys() <= shown
        assert {"_count", "_sort", "_include", "_revinclude", "_total", "_summary", "_elements"} <= shown


def test_parameter_text_tells_meaning_and_form(documents: OpenApi) -> None:
    shared = orjson.loads(documents.of_type("Patient"))["components"]["parameters"]
    assert shared["Patient-birthdate"]["description"].startswith(
        "The date of birth for the individual. **date**: `2026`"
    )
    assert shared["Patient-address-city"]["description"].startswith("Name of city, town etc.. **string**")


def test_every_error_of_the_tree_is_a_response() -> None:
    def names(kind: type[FhirError]) -> Iterator[str]:
        for below in kind.__subclasses__():
            if below.__module__ == "fhir_server.errors":
                yield below.__name__
                yield from names(below)

    assert set(names(FhirError)) == error_responses().keys()


def test_authorization_is_client_credentials(documents: OpenApi) -> None:
    document = orjson.loads(documents.of_type("Patient"))
    scheme = document["components"]["securitySchemes"]["client"]
    assert scheme["flows"]["clientCredentials"]["tokenUrl"] == "/auth/token"
    assert document["security"] == [{"client": []}]


def test_addresses_outside_fhir_are_described_at_their_place(parts: Any) -> None:
    def others() -> dict[str, Any]:
        call = {"operationId": "x", "tags": ["t"], "summary": "s", "parameters": [], "responses": {"200": {}}}
        return {"paths": {"/auth/token": {"post": call}, "/inbound/{his}": {"post": call}}}

    paths = orjson.loads(OpenApi(parts, ROUTES, others).of_system())["paths"]
    assert paths["/auth/token"]["servers"] == [{"url": "/"}]
    assert paths["/auth/token"]["post"]["security"] == []
    assert "security" not in paths["/inbound/{his}"]["post"]


# ── forms, and what an address may say everywhere ─────────────────────────────


@pytest.mark.parametrize("name", [*SOME_TYPES, "System"])
def test_both_forms_and_their_parameters_are_named_everywhere(documents: OpenApi, name: str) -> None:
    document = orjson.loads(documents.of_system() if name == "System" else documents.of_type(name))
    for path, call in calls(document):
        parameters = told(document, path, call)
        assert parameters["query", "_format"]["schema"]["enum"] == list(FORMATS)
        assert parameters["query", "_pretty"]["schema"]["enum"] == ["true", "false"]
        assert "406" in call["responses"]
        bodies = [*call["responses"].values(), call.get("requestBody", {})]
        for content in [resolved(document, body).get("content", {}) for body in bodies]:
            assert FHIR_XML in content or FHIR_JSON not in content, path


def test_patches_are_named_by_the_media_types_that_are_taken(documents: OpenApi) -> None:
    paths = orjson.loads(documents.of_type("Patient"))["paths"]
    for path in ("/Patient", "/Patient/{id}"):
        content = paths[path]["patch"]["requestBody"]["content"]
        assert list(content) == PATCHES.decode().split(", ")


WHAT_IT_IS = {"*/*", "application/octet-stream"}


def test_a_binary_is_sent_and_read_as_what_it_is(documents: OpenApi) -> None:
    document = orjson.loads(documents.of_type("Binary"))
    paths = document["paths"]
    for path, method in (("/Binary", "post"), ("/Binary", "put"), ("/Binary/{id}", "put")):
        call = paths[path][method]
        assert call["requestBody"]["content"].keys() == {FHIR_JSON, FHIR_XML, *WHAT_IT_IS}
        assert ("header", "X-Security-Context") in told(document, path, call)
        assert all(WHAT_IT_IS.isdisjoint(answer.get("content", {})) for answer in call["responses"].values())
    for path in ("/Binary/{id}", "/Binary/{id}/_history/{version}"):
        answer = paths[path]["get"]["responses"]["200"]
        assert answer["content"].keys() == {FHIR_JSON, FHIR_XML, "*/*"}
        assert "X-Security-Context" in answer["headers"]
    others = orjson.dumps(orjson.loads(documents.of_type("Patient"))["paths"])
    assert b"*/*" not in others
    assert b"X-Security-Context" not in others


READS = ("/Patient/{id}", "/Patient/{id}/_history/{version}")


def test_a_version_is_read_on_the_same_conditions_as_a_resource(documents: OpenApi) -> None:
    document = orjson.loads(documents.of_type("Patient"))
    for path in READS:
        call = document["paths"][path]["get"]
        names = told(document, path, call)
        assert {("header", "If-None-Match"), ("header", "If-Modified-Since")} <= names.keys()
        assert {("query", "_summary"), ("query", "_elements")} <= names.keys()
        assert call["responses"].keys() >= {"200", "304"}


def test_head_is_described_where_it_is_most_used_and_told_of_the_rest(documents: OpenApi) -> None:
    document = orjson.loads(documents.of_type("Patient"))
    for path in READS:
        head, get = (document["paths"][path][method] for method in ("head", "get"))
        assert told(document, path, head) == told(document, path, get)
        assert not any("content" in answer for answer in head["responses"].values())
        assert head["responses"].keys() == get["responses"].keys()
    assert "head" in orjson.loads(documents.of_system())["paths"]["/metadata"]
    assert "`HEAD`" in document["info"]["description"]


NOT_SHOWN = {"_cursor", "_query", "_type"}
"""Of next links only; refused; of the whole system only."""


def test_every_control_of_a_search_is_described(documents: OpenApi) -> None:
    controls = {*READERS, *INCLUSIONS, *SPECIAL} - NOT_SHOWN
    document = orjson.loads(documents.of_type("Patient"))
    for path in ("/Patient", "/Patient/{id}/{member}", "/Patient/{id}/*"):
        shown = {name for _, name in told(document, path, document["paths"][path]["get"])}
        assert controls <= shown, path
    for path in ("/Patient/_search", "/Patient/{id}/{member}/_search"):
        (form,) = document["paths"][path]["post"]["requestBody"]["content"].values()
        assert controls <= form["schema"]["properties"].keys(), path


def test_the_documents_stay_small(documents: OpenApi) -> None:
    assert len(documents.of_type("Patient")) < 170_000
    assert len(documents.whole()) < 11_500_000


# ── examples ──────────────────────────────────────────────────────────────────


def test_every_example_is_valid(parts: Any) -> None:
    validator = Validator(parts.definitions)
    for type in sorted(parts.definitions.resource_types):
        body = example(parts.definitions, type)
        assert body["resourceType"] == type
        assert "id" not in body
        assert validator.validate(body) == [], type
        assert validator.validate(with_id(body)) == [], type


def test_every_example_fits_its_component_schema(documents: OpenApi) -> None:
    for type in SOME_TYPES:
        document = orjson.loads(documents.of_type(type))
        schema = {"$ref": f"#/components/schemas/{type}", "components": document["components"]}
        body = document["components"]["examples"][f"{type}-example"]["value"]
        assert list(Draft202012Validator(schema).iter_errors(body)) == []
        assert list(Draft202012Validator(schema).iter_errors({**body, "resourceType": "Other"}))


def test_examples_in_bundles_are_valid(documents: OpenApi, parts: Any) -> None:
    validator = Validator(parts.definitions)
    shown = orjson.loads(documents.of_type("Task"))["components"]["examples"]
    values = [item["value"] for item in shown.values() if isinstance(item["value"], dict)]
    bundles = [value for value in values if value["resourceType"] == "Bundle"]
    assert len(bundles) == 3
    assert all(validator.validate(bundle) == [] for bundle in bundles)


@pytest.mark.parametrize("type", ["Task", "Observation", "Patient"])
def test_operation_bodies_are_valid_in_both_forms(documents: OpenApi, parts: Any, type: str) -> None:
    validator = Validator(parts.definitions)
    document = orjson.loads(documents.of_type(type))
    contents = [
        call["requestBody"]["content"]
        for path, call in calls(document)
        if "$" in path and "requestBody" in call
    ]
    assert len(contents) > 4
    for content in contents:
        body = content["application/fhir+json"]["example"]
        assert validator.validate(body) == []
        xml = content["application/fhir+xml"]["example"].encode()
        assert orjson.loads(from_xml(parts.definitions, xml)) == body


def test_every_example_has_a_twin_in_xml(documents: OpenApi, parts: Any) -> None:
    for type in SOME_TYPES:
        examples = orjson.loads(documents.of_type(type))["components"]["examples"]
        twins = {name: item["value"] for name, item in examples.items() if name.endswith("-xml")}
        assert len(twins) * 2 == len(examples)
        for name, xml in twins.items():
            read = orjson.loads(from_xml(parts.definitions, xml.encode()))
            assert read == examples[name.removesuffix("-xml")]["value"], name
