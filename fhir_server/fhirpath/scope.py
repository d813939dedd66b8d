"""What an evaluation is given besides its focus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from fhir_server.fhirpath.node import Node
from fhir_server.model.dates import CHINA

Resolve = Callable[[Node], Node | None]
Items = list[Any]


def no_resolution(reference: Node) -> Node | None:
    """The resolver of who has no other resources: a reference is known only by the type it names."""
    return None


@dataclass(slots=True)
class Scope:
    """``variables`` are the ``%name``s as collections; ``index`` is ``$index``.

    ``resolve`` finds the resource that a Reference, canonical or uri node points to; ``zone`` is that
    of times without one. Treat it as read-only (it is not frozen, because making one must be cheap).
    """

    variables: Mapping[str, Items] = field(default_factory=dict)
    resolve: Resolve = no_resolution
    zone: tzinfo = CHINA
    index: int | None = None

    def at(self, index: int) -> Scope:
        """The same, inside an iteration."""
        return Scope(self.variables, self.resolve, self.zone, index)
