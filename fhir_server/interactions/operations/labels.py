"""Profiles, tags and security labels as sets: how two of them are the same, how they join and part.

A tag or a security label is its system and code, a profile its whole URL; versions and displays are not looked at.
Source: FHIR R4 operation-resource-meta-add.html, resource.html#Meta.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fhir_server.errors import InvalidContent
from fhir_server.interactions.context import Outcome
from fhir_server.model.resource import Json

KINDS = ("profile", "security", "tag")
"""The members of Meta that are labels."""


class Labels:
    """Three sets of labels in the order in which they were added."""

    def __init__(self, meta: Mapping[str, Any] | None = None) -> None:
        self._kept: dict[str, dict[object, Any]] = {kind: {} for kind in KINDS}
        if meta is not None:
            self.add(meta)

    def add(self, meta: Mapping[str, Any]) -> None:
        """Add the labels of ``meta`` that are not here."""
        for kind in KINDS:
            for label in meta.get(kind, ()):
                self._kept[kind].setdefault(_identity(label), label)

    def remove(self, meta: Mapping[str, Any]) -> None:
        """Take the labels of ``meta`` away; those that are not here do not matter."""
        for kind in KINDS:
            for label in meta.get(kind, ()):
                self._kept[kind].pop(_identity(label), None)

    def as_json(self) -> dict[str, Any]:
        """The labels as members of a Meta, empty sets left out."""
        return {kind: list(kept.values()) for kind, kept in self._kept.items() if kept}


def _identity(label: Any) -> object:
    return (label.get("system"), label.get("code")) if isinstance(label, dict) else label


def relabelled(meta: Json, labels: Labels) -> Json:
    """``meta`` with ``labels`` instead of its own."""
    return {name: value for name, value in meta.items() if name not in KINDS} | labels.as_json()


def require_labels(meta: Json) -> Json:
    """``meta``, when it says nothing but labels. Raises InvalidContent: who sends more expects more to happen."""
    others = sorted(meta.keys() - set(KINDS))
    if others:
        raise InvalidContent(
            f"only {', '.join(KINDS)} can be added or deleted, not {', '.join(others)}", expression="meta"
        )
    return meta


def meta_answer(meta: Mapping[str, Any], **headers: str) -> Outcome:
    """The Parameters that give ``meta`` back; a Meta without anything is left out, since FHIR has no empty one."""
    given = [{"name": "return", "valueMeta": meta}] if meta else []
    body = {"resourceType": "Parameters"} | ({"parameter": given} if given else {})
    return Outcome(200, resource=orjson.dumps(body), headers=headers)
