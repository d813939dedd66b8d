"""JSON Patch: operations in order, all or none.

Our own, because a hostile ``copy`` doubles the document with each step, and because ``test`` must tell ``true``
from ``1``. Source: RFC 6902, RFC 6901.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.errors import FhirError, InvalidContent, Issue, Unprocessable

MOST_STEPS = 1_000
MOST_COPIED = 100_000
"""Values that the steps of one patch may bring into the document."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
Pointer = tuple[str, ...]


class _Misfit(Exception):
    """Why a step cannot be done on this document."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation; ``number`` counts from 0. ``source`` is where ``move`` and ``copy`` take from."""

    number: int
    kind: str
    path: Pointer
    source: Pointer = ()
    value: Any = None

    def told(self, text: str) -> str:
        """``text`` with the place of the step."""
        return f"step {self.number} of the patch ({self.kind} {_written(self.path)}): {text}"


def parse(steps: Any) -> Callable[[Any], Any]:
    """The change that the list ``steps`` makes. Raises InvalidContent with the fault of every malformed step."""
    if not isinstance(steps, list):
        raise InvalidContent("a JSON Patch is a list of operations (RFC 6902)")
    if len(steps) > MOST_STEPS:
        raise InvalidContent(f"a JSON Patch has at most {MOST_STEPS} operations", code="too-costly")
    read: list[Step] = []
    faults: list[Issue] = []
    for number, step in enumerate(steps):
        try:
            read.append(_step(number, step))
        except ValueError as error:
            faults.append(Issue("error", "structure", f"step {number} of the patch: {error}"))
    if faults:
        raise InvalidContent(issues=faults)
    return lambda tree: _apply(read, tree)


# ── reading ───────────────────────────────────────────────────────────────────


def _step(number: int, step: Any) -> Step:
    """Raises ValueError saying what is wrong with it."""
    if not isinstance(step, dict):
        raise ValueError("an operation is a JSON object")
    kind = step.get("op")
    if not isinstance(kind, str) or kind not in NEEDS:
        raise ValueError(f"op is one of {', '.join(NEEDS)}")
    missing = [name for name in ("path", *NEEDS[kind]) if name not in step]
    if missing:
        raise ValueError(f"{kind} needs {' and '.join(missing)}")
    source = _pointer(step["from"]) if "from" in NEEDS[kind] else ()
    return Step(number, kind, _pointer(step["path"]), source, step.get("value"))


def _pointer(text: Any) -> Pointer:
    if not isinstance(text, str) or (text and text[0] != "/"):
        raise ValueError('a path is a JSON Pointer: "" or /name/0/text')
    if re.search(r"~(?![01])", text):
        raise ValueError("in a JSON Pointer ~ is written ~0 and / in a name ~1")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def _written(path: Pointer) -> str:
    text = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
    return text[:200] or "the whole resource"


# ── doing ─────────────────────────────────────────────────────────────────────


def _apply(steps: list[Step], tree: Any) -> Any:
    copier = _Copier()
    for step in steps:
        try:
            tree = OPERATIONS[step.kind](tree, step, copier)
        except _Misfit as error:
            raise _unfit(step, error) from error
        except RecursionError as error:
            raise InvalidContent(step.told("the values are nested too deeply"), code="too-costly") from error
    return tree


def _unfit(step: Step, error: _Misfit) -> FhirError:
    return Unprocessable(step.told(str(error)), code="conflict" if step.kind == "test" else "value")


class _Copier:
    """Copies values, and counts them."""

    def __init__(self) -> None:
        self._left = MOST_COPIED

    def __call__(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise InvalidContent("the patch brings too many values into the resource", code="too-costly")
        if isinstance(value, dict):
            return {name: self(item) for name, item in value.items()}
        return [self(item) for item in value] if isinstance(value, list) else value


def _find(tree: Any, path: Pointer) -> Any:
    for part in path:
        if isinstance(tree, dict) and part in tree:
            tree = tree[part]
        elif isinstance(tree, list):
            tree = tree[_place(tree, part, len(tree) - 1)]
        else:
            raise _Misfit("it leads nowhere in this resource")
    return tree


def _place(items: list[Any], part: str, most: int) -> int:
    if not _INDEX.fullmatch(part) or int(part) > most:
        raise _Misfit(f"the list has {len(items)} items, counted from 0")
    return int(part)


def _put(tree: Any, path: Pointer, value: Any) -> Any:
    if not path:
        return value
    holder, last = _find(tree, path[:-1]), path[-1]
    if isinstance(holder, list):
        holder.insert(len(holder) if last == "-" else _place(holder, last, len(holder)), value)
    elif isinstance(holder, dict):
        holder[last] = value
    else:
        raise _Misfit("a simple value has no members")
    return tree


def _without(tree: Any, path: Pointer) -> Any:
    """``tree`` after what is at ``path`` was removed."""
    if not path:
        raise _Misfit("the whole resource cannot be removed")
    _find(tree, path)
    holder = _find(tree, path[:-1])
    del holder[int(path[-1]) if isinstance(holder, list) else path[-1]]
    return tree


def _add(tree: Any, step: Step, copy: _Copier) -> Any:
    return _put(tree, step.path, copy(step.value))


def _remove(tree: Any, step: Step, copy: _Copier) -> Any:
    return _without(tree, step.path)


def _replace(tree: Any, step: Step, copy: _Copier) -> Any:
    if not step.path:
        return copy(step.value)
    _find(tree, step.path)
    holder, last = _find(tree, step.path[:-1]), step.path[-1]
    holder[int(last) if isinstance(holder, list) else last] = copy(step.value)
    return tree


def _move(tree: Any, step: Step, copy: _Copier) -> Any:
    if step.path[: len(step.source)] == step.source and step.path != step.source:
        raise _Misfit("a value cannot be moved into itself")
    value = _find(tree, step.source)
    return tree if step.path == step.source else _put(_without(tree, step.source), step.path, value)


def _copy(tree: Any, step: Step, copy: _Copier) -> Any:
    return _put(tree, step.path, copy(_find(tree, step.source)))


def _test(tree: Any, step: Step, copy: _Copier) -> Any:
    if not _same(_find(tree, step.path), step.value):
        raise _Misfit("the value is another one; nothing was changed")
    return tree


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON values: numbers by their value, ``true`` is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(item, other[name]) for name, item in one.items())
    return type(one) is type(other) and bool(one == other)


NEEDS: Mapping[str, tuple[str, ...]] = {
    "add": ("value",),
    "remove": (),
    "replace": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "test": ("value",),
}
"""Operation → the members it needs besides ``path``."""

OPERATIONS: Mapping[str, Callable[[Any, Step, _Copier], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
