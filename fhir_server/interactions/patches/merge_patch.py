"""JSON Merge Patch: the body looks like the part of the resource that changes; null removes a member.

Source: RFC 7396.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.errors import InvalidContent


def parse(patch: Any) -> Callable[[Any], Any]:
    """The change that ``patch`` makes. Raises InvalidContent unless it is an object: a resource is one."""
    if not isinstance(patch, dict):
        raise InvalidContent("a merge patch of a resource is a JSON object (RFC 7396)")
    return lambda tree: merge(tree, patch)


def merge(target: Any, patch: Any) -> Any:
    """``target`` with ``patch`` merged in; lists are replaced as a whole."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
