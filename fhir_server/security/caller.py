"""Who asks: the identity every interaction gets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client.

    ``client`` is its id; ``organization`` the one organisation it acts for (``Organization/h1``),
    None only for the server itself (``system`` True: demo loading, timers, command line).
    ``administrator``: it may also do what concerns the whole server (``security.access.ADMINISTRATION``).
    """

    client: str
    organization: str | None = None
    system: bool = False
    administrator: bool = False


SYSTEM = Caller(client="server", system=True)
