"""The metrics of several workers as one: each tells its own in a file, whoever is asked adds the others'.

What a worker had counted before it died is taken over by the one that is started in its place, so that no counter
ever goes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from fhir_server.ending import end
from fhir_server.rest.metrics import Counted, RequestMetrics
from fhir_server.store import Commits

EVERY: Final = 1.0
"""Seconds between two times that a worker tells."""

_decoder: Final = msgspec.msgpack.Decoder(Counted)


class SharedMetrics(RequestMetrics):
    """Counts its own worker's requests; collects everybody's."""

    def __init__(self, folder: Path, number: int, commits: Commits) -> None:
        super().__init__(commits)
        self._folder = folder
        self._own = folder / f"{number}.metrics"
        before = _read(self._own)
        if before is not None:
            self.counted.add(before)

    def tell(self) -> None:
        """Write what was counted so far, in one piece."""
        coming = self._own.with_suffix(".coming")
        coming.write_bytes(msgspec.msgpack.encode(self.counted))
        coming.replace(self._own)

    def total(self) -> Counted:
        """The sums over all workers: of the others, as of a second ago at most."""
        found = Counted()
        found.add(self.counted)
        for file in self._folder.glob("*.metrics"):
            said = _read(file) if file != self._own else None
            if said is not None:
                found.add(said)
        return found


def _read(file: Path) -> Counted | None:
    try:
        return _decoder.decode(file.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None


@asynccontextmanager
async def sharing(folder: Path, number: int, commits: Commits) -> AsyncIterator[SharedMetrics]:
    """The metrics of worker ``number``, told to the others as long as the block runs."""
    metrics = SharedMetrics(folder, number, commits)

    async def tell() -> None:
        while True:
            await asyncio.sleep(EVERY)
            metrics.tell()

    task = asyncio.get_running_loop().create_task(tell())
    try:
        yield metrics
    finally:
        await end(task)
        metrics.tell()
