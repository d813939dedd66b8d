"""What a translation left aside: the places of the message that no rule used, and the map does not ignore."""

from __future__ import annotations

import re

from fhir_server.mapping.run import Run


def unread(run: Run) -> tuple[str, ...]:
    """The places nobody used. ``ignore`` of the map names what is left aside on purpose, whatever its numbers."""
    ignored = run.recognised.map.source.ignore
    return tuple(
        at
        for at in run.recognised.message.leaves()
        if at not in run.used
        and _field(at) not in run.used
        and not any(_covers(name, at) for name in ignored)
    )


def _field(at: str) -> str:
    """The whole field a part stands in: ``OBX[1]-5`` for ``OBX[1]-5[1].2.1``."""
    return re.sub(r"(-\d+)\[\d+\].*", r"\1", at)


def _covers(name: str, at: str) -> bool:
    """True when ``name`` (``MSH``, ``PID-1``, ``DG1-3.3``, a column) means the place ``at``."""
    plain = re.sub(r"\[\d+\]", "", at)
    return plain == name or plain.startswith((f"{name}-", f"{name}."))
