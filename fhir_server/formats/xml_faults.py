"""What is wrong with an XML document, told with its line and its place in the resource."""

from __future__ import annotations

from typing import Any

from fhir_server.errors import InvalidContent, Issue
from fhir_server.formats.xml_fields import IN_FHIR

MOST_FAULTS = 100
"""Faults that are told; a document with more is not worth a longer answer."""


class Faults:
    """The faults found so far."""

    def __init__(self) -> None:
        self._issues: list[Issue] = []

    def add(self, element: Any, text: str, *, code: str = "structure") -> None:
        """Note that something is wrong at ``element`` (of lxml)."""
        if len(self._issues) < MOST_FAULTS:
            path = path_of(element)
            self._issues.append(Issue("error", code, f"line {element.sourceline}: {path} {text}", path))

    def raise_any(self) -> None:
        """Raises InvalidContent with all faults, when there are any."""
        if self._issues:
            raise InvalidContent(issues=self._issues)


def path_of(element: Any) -> str:
    """``Bundle.entry[1].resource.name``: the place of ``element``, counted where there are several of a name."""
    steps: list[str] = []
    while element is not None:
        parent = element.getparent()
        name = local_name(element)
        if parent is None or not name[:1].isupper():
            steps.append(name + _index(element))
        element = parent
    return ".".join(reversed(steps))


def local_name(element: Any) -> str:
    """The element's name without FHIR's namespace, cut when it is very long."""
    name: str = element.tag.removeprefix(IN_FHIR)
    return name.rpartition("}")[2][:64]


def _index(element: Any) -> str:
    """The element's number among its namesakes; an ``entry`` always has one: those that follow may not be read yet."""
    before = sum(1 for _ in element.itersiblings(element.tag, preceding=True))
    alone = before == 0 and next(element.itersiblings(element.tag), None) is None
    return "" if alone and element.tag != f"{IN_FHIR}entry" else f"[{before}]"
