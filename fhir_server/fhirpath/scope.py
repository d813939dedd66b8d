"""What an evaluation is given besides its focus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta, timezone, tzinfo
from typing import Any

from fhir_server.fhirpath.node import Node

CHINA = timezone(timedelta(hours=8))
Resolve = Callable[[Node], Node | None]
Items = list[Any]


def no_resolution(reference: Node) -> Node | None:
    """The resolver of who has no other resources: a reference is known only by the type it names."""
    return None


@dataclass(frozen=True, slots=True)
class Scope:
    """``variables`` are the ``%name``s as collections; ``index`` is ``$index``.

    ``resolve`` finds the resource that a Reference, canonical or uri node points to; ``zone`` is that
    of times without one.
    """

    variables: Mapping[str, Items] = field(default_factory=dict)
    resolve: Resolve = no_resolution
    zone: tzinfo = CHINA
    index: int | None = None

    def at(self, index: int) -> Scope:
        """The same, inside an iteration."""
        return replace(self, index=index)
