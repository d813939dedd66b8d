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
_DISGUISE = re.compile(rb"\\(?:/|u00)")
"""Escapes behind which a reference could stand in another spelling."""
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
    careful = TreeRewriter(replacements, members).rewrite
    chained = not replacements.keys().isdisjoint(replacements.values())
    if chained or not all(map(_is_plain, replacements)):
        return careful
    return BytesRewriter(replacements, careful).rewrite


def stem(key: str) -> str:
    """What a reference has in common with its kind: ``urn:uuid:``, ``Practitioner?``, ``http://x/Patient/``."""
    if "?" in key:
        return key.partition("?")[0] + "?"
    for end in "/:":
        head, found, _ = key.rpartition(end)
        if found:
            return head + end
    return key


def _is_plain(key: str) -> bool:
    """True when JSON has only one usual spelling of ``key``, and narrative none of its own."""
    return orjson.dumps(key)[1:-1] == key.encode() and key.isascii() and "'" not in key


class BytesRewriter:
    """The fast way: bytes only, with ``careful`` for what bytes cannot decide."""

    def __init__(self, replacements: Mapping[str, str], careful: Rewrite) -> None:
        self._careful = careful
        self._new = {key.encode(): orjson.dumps(value)[1:-1] for key, value in replacements.items()}
        self._stems = tuple({stem(key).encode() for key in replacements})

    def rewrite(self, raw: bytes) -> bytes:
        """``raw`` with its references replaced."""
        if b"\\" in raw and _DISGUISE.search(raw):
            return self._careful(raw)
        done: bytes | None = raw
        for start in self._stems:
            if start in raw and done is not None:
                done = self._replaced(done, start)
        return self._careful(raw) if done is None else done

    def _replaced(self, raw: bytes, start: bytes) -> bytes | None:
        """``raw`` with the references that begin with ``start`` replaced; None when one stands elsewhere."""
        head, *pieces = raw.split(b'"' + start)
        if raw.count(start) != len(pieces):
            return None
        parts = [head]
        for piece in pieces:
            end = piece.find(b'"')
            value = start + piece[:end]
            new = self._new.get(value.rstrip(b"\\"))
            if new is None:
                parts.append(b'"' + start + piece)
            elif _is_reference(parts[-1]) and not value.endswith(b"\\"):
                parts += (b'"', new, piece[end:])
            else:
                return None
        return b"".join(parts)


def _is_reference(before: bytes) -> bool:
    """True when the bytes before a value are those of a member called ``reference``."""
    if before.endswith(b'"reference":'):
        return True
    name = before.rstrip()
    return name.endswith(b":") and name[:-1].rstrip().endswith(b'"reference"')


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
