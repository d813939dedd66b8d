"""Slows down whoever keeps guessing: each failure after a few doubles the wait, up to a bound.

Counted per key (client id and address together), so that a guesser cannot lock out the client
whose name he uses; kept in memory and bounded, the oldest key forgotten first. ``shared_backoff`` adds what other
processes have counted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from fhir_server.errors import Throttled

FREE_FAILURES = 5
LONGEST_WAIT = 60.0
MOST_KEYS = 10_000


def wait_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(2.0 ** min(failures - FREE_FAILURES, 16), LONGEST_WAIT) if failures >= FREE_FAILURES else 0.0


def require_over(wait: float) -> None:
    """Raises Throttled, with ``Retry-After``, while ``wait`` seconds are left."""
    if wait > 0:
        raise Throttled(
            "too many failed attempts: wait before the next one", headers={"Retry-After": str(ceil(wait))}
        )


@dataclass(slots=True)
class _Tally:
    failures: int = 0
    until: float = 0.0


class Backoff:
    """Counts failures per key and says when the next attempt is allowed."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._tallies: dict[Hashable, _Tally] = {}

    def check(self, key: Hashable) -> None:
        """Raises Throttled, with ``Retry-After`` in seconds, while ``key`` has to wait."""
        tally = self._tallies.get(key)
        if tally is not None:
            require_over(tally.until - self._now().timestamp())

    def failed(self, key: Hashable) -> None:
        """Note a failure of ``key``."""
        tally = self._tallies.pop(key, None) or _Tally()
        tally.failures += 1
        tally.until = self._now().timestamp() + wait_after(tally.failures)
        if len(self._tallies) >= MOST_KEYS:
            del self._tallies[next(iter(self._tallies))]
        self._tallies[key] = tally

    def succeeded(self, key: Hashable) -> None:
        """Forget the failures of ``key``."""
        self._tallies.pop(key, None)
