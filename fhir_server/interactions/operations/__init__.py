"""$operations: found by walking the ``operations`` folders, called in one way.

A file is an operation when it has an ``OPERATION``; a file or a folder that makes several from a
table has ``OPERATIONS``. No list to edit. Source: FHIR R4 operations.html.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from types import ModuleType

from fhir_server.errors import InvalidContent, NotFound, NotSupported
from fhir_server.interactions.bundles import CURSOR, Pairs
from fhir_server.interactions.conditional import ANY, parse_etags
from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.interactions.parameters import gather
from fhir_server.interactions.write import require_type
from fhir_server.model.resource import Json
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller


def find_operations(*folders: ModuleType) -> Mapping[str, tuple[Operation, ...]]:
    """The operations of the packages ``folders`` by code, for ``Server.operations``.

    Raises ValueError when two of them would answer the same address.
    """
    found: dict[str, tuple[Operation, ...]] = {}
    for operation in _unlike(item for folder in folders for item in _walk(folder)):
        for other in found.get(operation.code, ()):
            _require_apart(operation, other)
        found[operation.code] = (*found.get(operation.code, ()), operation)
    return found


def _walk(folder: ModuleType) -> Iterator[Operation]:
    names = [info.name for info in pkgutil.iter_modules(folder.__path__)]
    for module in (folder, *(import_module(f"{folder.__name__}.{name}") for name in names)):
        yield from getattr(module, "OPERATIONS", ())
        if hasattr(module, "OPERATION"):
            yield module.OPERATION


def _unlike(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Each operation once: a folder may gather what its files have."""
    return iter({id(operation): operation for operation in operations}.values())


def _require_apart(one: Operation, other: Operation) -> None:
    share = not one.types or not other.types or set(one.types) & set(other.types)
    if one.level == other.level and share:
        raise ValueError(f"two operations are called ${one.code} at {one.level} level of {one.types}")


async def invoke(
    server: Server,
    caller: Caller,
    level: str,
    type: str | None,
    id: str | None,
    code: str,
    parameters: Json | None,
    *,
    query: Pairs = (),
    kept: Pairs = (),
    body: bytes = b"",
    if_match: str | None = None,
    request_id: str | None = None,
    base: str = "",
    lenient: bool | None = None,
    get: bool = False,
) -> Outcome:
    """Call ``$code`` at ``level`` (instance, type or system). ``if_match`` is the header's text.

    ``parameters`` is the body: a Parameters, or the one resource that the operation takes; ``body`` the same as bytes;
    ``query`` what stands in the address beside it, ``kept`` what the door has taken from there.
    ``get``: the request is a GET, which must not change anything.
    Raises NotFound for an unknown operation, NotSupported where it cannot be called, and as ``parameters.gather``.
    """
    if type is not None:
        require_type(server, type)
    operation = _choose(server, level, type, code)
    check_access(caller, "operation", type)
    if get and operation.affects_state:
        raise NotSupported(f"${code} changes something: call it with POST", headers={"Allow": "POST"})
    cursor = dict(query).get(CURSOR) if operation.pages else None
    told = gather(
        server.validate, operation, parameters, [p for p in query if cursor is None or p[0] != CURSOR]
    )
    invocation = Invocation(
        type,
        id,
        told,
        _version(if_match),
        request_id,
        base=base,
        safe=get,
        lenient=lenient,
        cursor=cursor,
        kept=kept,
        body=body,
    )
    return await operation.run(server, caller, invocation)


def _choose(server: Server, level: str, type: str | None, code: str) -> Operation:
    known = server.operations.get(code, ())
    for operation in known:
        if operation.level == level and (type in operation.types or not operation.types):
            return operation
    if known:
        places = ", ".join(sorted({_address(operation) for operation in known}))
        raise NotSupported(f"${code} cannot be called here, only at {places}")
    names = ", ".join(f"${name}" for name in sorted(server.operations)) or "none"
    raise NotFound(f"there is no operation ${code[:64]}; known: {names}", code="not-supported")


def _address(operation: Operation) -> str:
    types = "|".join(operation.types) or "[type]"
    prefix = {"instance": f"{types}/[id]/", "type": f"{types}/", "system": ""}[operation.level]
    return f"{prefix}${operation.code}"


def _version(if_match: str | None) -> int | None:
    """The version that ``If-Match`` names. Raises InvalidContent when it names none or several."""
    if if_match is None or if_match.strip() == ANY:
        return None
    versions = parse_etags("If-Match", if_match)
    number = next(iter(versions))
    if len(versions) > 1 or not (number.isascii() and number.isdigit()):
        raise InvalidContent(
            'If-Match of an operation names one version, like W/"3"', expression="http.If-Match"
        )
    return int(number)
