"""The documents: one per resource type, one for what belongs to no type, and one with everything."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from fhir_server import __version__
from fhir_server.interactions.context import Server
from fhir_server.rest.openapi.examples import system_examples, type_examples
from fhir_server.rest.openapi.operations import operation_paths
from fhir_server.rest.openapi.parameters import EVERYWHERE, SHARED, search_parameters, shared
from fhir_server.rest.openapi.paths import Row, route_paths
from fhir_server.rest.openapi.responses import error_responses
from fhir_server.rest.openapi.schemas import component_schemas

Json = dict[str, Any]
SYSTEM = "System"
COMPONENT = "#/components/schemas/"
TOKEN_URL = "/auth/token"  # noqa: S105 - an address
OPEN = ("/auth/", "/health/", "/metrics")
"""The beginnings of the addresses outside ``/fhir`` that need no token."""
ABOUT = (
    "FHIR R4 (4.0.1). Every call but `metadata` needs a token: press *Authorize* and give the id and the "
    f"secret of a client, or `POST {TOKEN_URL}`. The resources shown can be sent as they are. A primitive may "
    "also have its extensions, in a member of the same name with an underscore before it (`_birthDate`). "
    "`HEAD` is answered wherever `GET` is, with the same headers and no body; it is shown only for reads."
)


class OpenApi:
    """Makes each document when it is first asked for, and keeps it as bytes.

    ``others`` gives an OpenAPI document of the addresses outside ``/fhir`` (FastAPI's own).
    """

    def __init__(self, server: Server, rows: Sequence[Row], others: Callable[[], Json] | None = None) -> None:
        self._server = server
        self._rows = rows
        self._others = others
        self._made: dict[tuple[str, int], bytes] = {}

    @property
    def names(self) -> list[str]:
        """The names of the documents: ``System``, then the resource types."""
        return [SYSTEM, *sorted(self._server.definitions.resource_types)]

    def of_type(self, type: str) -> bytes:
        """The document of one resource type. Raises KeyError when R4 has none of that name."""
        if type not in self._server.definitions.resource_types:
            raise KeyError(type)
        return self._kept(type, lambda: self._document(type, [type], self._paths(type)))

    def of_system(self) -> bytes:
        """The document of what belongs to no type: metadata, transactions, history, tokens, health."""
        return self._kept(SYSTEM, lambda: self._document(SYSTEM, [], self._paths(None)))

    def whole(self) -> bytes:
        """Everything in one document."""
        return self._kept("", self._everything)

    def _kept(self, name: str, make: Callable[[], Json]) -> bytes:
        key = (name, self._server.parameters.revision)
        if key not in self._made:
            self._made[key] = orjson.dumps(make())
        return self._made[key]

    def _everything(self) -> Json:
        types = sorted(self._server.definitions.resource_types)
        paths = self._paths(None)
        for type in types:
            paths |= self._paths(type)
        return self._document("all resource types", types, paths)

    def _paths(self, type: str | None) -> Json:
        paths: Json = {}
        server = self._server
        for path, method, operation in route_paths(self._rows, server.parameters, server.definitions, type):
            paths.setdefault(path, {})[method] = operation
        paths |= operation_paths(server.operations, server.definitions, server.parameters, type)
        paths = {path: {"parameters": shared(*EVERYWHERE), **calls} for path, calls in paths.items()}
        return paths if type else paths | self._other_paths()

    def _other_paths(self) -> Json:
        """Those of FastAPI, which do not stand below ``/fhir``."""
        described = self._others() if self._others else {}
        return {path: _at_root(path, item) for path, item in described.get("paths", {}).items()}

    def _document(self, title: str, types: Sequence[str], paths: Json) -> Json:
        return {
            "openapi": "3.1.0",
            "info": {"title": f"FHIR server: {title}", "version": __version__, "description": ABOUT},
            "servers": [{"url": "/fhir"}],
            "security": [{"client": []}],
            "tags": [{"name": name} for name in _tags(paths)],
            "paths": paths,
            "components": self._components(types, paths),
        }

    def _components(self, types: Sequence[str], paths: Json) -> Json:
        definitions = self._server.definitions
        examples = system_examples(definitions)
        parameters = dict(SHARED)
        for type in types:
            examples |= type_examples(definitions, type)
            parameters |= search_parameters(self._server.parameters, definitions, type)
        others = self._others() if self._others and "/metadata" in paths else {}
        own = component_schemas(
            definitions, {"OperationOutcome", *_named_schemas(paths) - _schemas(others).keys()}
        )
        return {
            "schemas": own | _schemas(others),
            "parameters": parameters,
            "responses": error_responses(),
            "examples": examples,
            "securitySchemes": {
                "client": {
                    "type": "oauth2",
                    "description": "client id and secret, shown once when the client is added",
                    "flows": {"clientCredentials": {"tokenUrl": TOKEN_URL, "scopes": {}}},
                }
            },
        }


def _at_root(path: str, item: Json) -> Json:
    security: Json = {"security": []} if path.startswith(OPEN) else {}
    return {"servers": [{"url": "/"}]} | {method: security | call for method, call in item.items()}


def _schemas(document: Json) -> Json:
    schemas: Json = document.get("components", {}).get("schemas", {})
    return schemas


def _tags(paths: Json) -> list[str]:
    """The tags in use, in the order of their first use."""
    calls = (call for item in paths.values() for call in item.values() if isinstance(call, dict))
    return list(dict.fromkeys(tag for call in calls for tag in call.get("tags", ())))


def _named_schemas(paths: Json) -> set[str]:
    """The component schemas that ``paths`` refer to."""
    return set(re.findall(rf'"{COMPONENT}([^"]+)"', orjson.dumps(paths).decode()))
