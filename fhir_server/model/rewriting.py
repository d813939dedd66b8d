"""References inside a resource replaced, on the client's bytes, as a transaction has to do it.

What may be replaced is a whole value: of Reference.reference, of an element of type uri, url, oid or uuid
(not canonical, not string), or of an ``href`` or ``src`` in narrative. Source: FHIR R4 http.html#trules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from fhir_server.model.exact import dumps_exact, loads_exact


class MemberLike(Protocol):
    """What is needed to know of a JSON member: see ``definitions.types.Member``."""

    @property
    def type(self) -> str:
        """The type of its values."""

    @property
    def path(self) -> str:
        """Where its own members are defined; "" for a primitive."""


Members = Callable[[str], Mapping[str, MemberLike]]
Rewrite = Callable[[bytes], bytes]

LINK_TYPES = frozenset({"uri", "url", "oid", "uuid"})
_NARRATIVE_LINK = re.compile(r"""(\b(?:href|src)\s*=\s*)("[^"]*"|'[^']*')""")


def reference_rewriter(replacements: Mapping[str, str], members: Members) -> Rewrite:
    """A function from a resource's bytes to its bytes with every reference in ``replacements`` replaced.

    ``replacements`` maps whole values (``urn:uuid:…``, ``Practitioner?identifier=…``, another server's
    address) to what takes their place; ``members`` is ``Definitions.members``. Make one per Bundle and call it
    for each resource. Where the bytes show that only ``"reference"`` members are concerned, they are replaced
    in place and all else stays byte for byte; otherwise the resource is read, changed and written again with
    numbers and order kept (``exact``). Bytes with nothing to replace come back as they are.
    """
    if not replacements:
        return lambda raw: raw
    tree = TreeRewriter(replacements, members)
    if any(char in key for key in replacements for char in "\"\\'"):
        return tree.rewrite
    return BytesRewriter(replacements, tree.rewrite).rewrite


def stem(key: str) -> str:
    """The part of a reference that its kind has in common: ``urn:uuid:``, ``Practitioner?``, ``http://x/Patient/``."""
    for end in ("?", "/", ":"):
        head, found, _ = key.partition(end) if end == "?" else key.rpartition(end)
        if found:
            return head + end
    return key


class BytesRewriter:
    """The fast way: byte patterns only, with ``careful`` for what they cannot decide."""

    def __init__(self, replacements: Mapping[str, str], careful: Rewrite) -> None:
        self._careful = careful
        self._new = {key.encode(): orjson.dumps(value) for key, value in replacements.items()}
        stems = sorted({stem(key).encode() for key in replacements}, reverse=True)
        self._stems = tuple(stems)
        either = b"|".join(map(re.escape, stems))
        self._references = re.compile(rb'("reference"\s*:\s*)"((?:%b)[^"\\]*)"' % either)
        self._anywhere = re.compile(rb"""(?:%b)[^"\\']*""" % either)

    def rewrite(self, raw: bytes) -> bytes:
        """``raw`` with its references replaced."""
        if b"\\" in raw and (b"\\u00" in raw or b"\\/" in raw):
            return self._careful(raw)
        if not any(item in raw for item in self._stems):
            return raw
        done = self._references.sub(self._replaced, raw)
        if any(found in self._new for found in self._anywhere.findall(done)):
            return self._careful(raw)
        return done

    def _replaced(self, match: re.Match[bytes]) -> bytes:
        new = self._new.get(match[2])
        return match[0] if new is None else match[1] + new


class TreeRewriter:
    """The careful way: every value is met with its type."""

    def __init__(self, replacements: Mapping[str, str], members: Members) -> None:
        self._new = replacements
        self._members = members

    def rewrite(self, raw: bytes) -> bytes:
        """``raw`` with its references replaced; ``raw`` itself when there is none."""
        tree = loads_exact(raw)
        return dumps_exact(tree) if self._resource(tree) else raw

    def _resource(self, node: Any) -> bool:
        """Replace inside a resource; True when something was. What R4 does not know is left alone."""
        kind = node.get("resourceType") if isinstance(node, dict) else None
        if not isinstance(kind, str):
            return False
        try:
            return self._object(node, kind)
        except KeyError:
            return False

    def _object(self, node: dict[str, Any], path: str) -> bool:
        known = self._members(path)
        changed = False
        for name, value in node.items():
            member = known.get(name)
            if member is not None:
                new, touched = self._value(value, name, path, member)
                if touched:
                    node[name] = new
                    changed = True
            elif name.startswith("_") and name[1:] in known:
                changed |= self._value(value, name, path, _Twin)[1]
        return changed

    def _value(self, value: Any, name: str, path: str, member: MemberLike | type[_Twin]) -> tuple[Any, bool]:
        """The value to stand under a member, and whether it (or something in it) is new."""
        if isinstance(value, list):
            pairs = [self._value(item, name, path, member) for item in value]
            return [item for item, _ in pairs], any(touched for _, touched in pairs)
        if isinstance(value, dict):
            return value, self._nested(value, member)
        if isinstance(value, str):
            return self._text(value, name, path, member)
        return value, False

    def _nested(self, value: dict[str, Any], member: MemberLike | type[_Twin]) -> bool:
        if member.type == "Resource":
            return self._resource(value)
        return self._object(value, member.path) if member.path else False

    def _text(self, value: str, name: str, path: str, member: MemberLike | type[_Twin]) -> tuple[str, bool]:
        if member.type in LINK_TYPES or (path == "Reference" and name == "reference"):
            new = self._new.get(value, value)
        elif member.type == "xhtml":
            new = _NARRATIVE_LINK.sub(self._link, value)
        else:
            return value, False
        return new, new != value

    def _link(self, match: re.Match[str]) -> str:
        quote, target = match[2][0], match[2][1:-1]
        return f"{match[1]}{quote}{self._new.get(target, target)}{quote}"


class _Twin:
    """The ``_name`` twin of a primitive: the members of Element."""

    type = "Element"
    path = "Element"
