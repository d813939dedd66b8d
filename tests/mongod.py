"""MongoDB servers for tests: a replica set of one or three members on free loopback ports, gone with the process.

``FHIR_TEST_MONGODB_URI`` names a replica set to be used instead of one that is started here.
By hand, for a server or a benchmark: ``scripts/mongod --serve --members 3``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

ROOT = Path(__file__).parents[1]
NAME = "tests"
"""Of the replica set."""

QUICK = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200, "catchUpTimeoutMillis": 500}
PATIENCE = 60.0
TIED = ("setpriv", "--pdeathsig", "KILL")
"""A server must not outlive tests that were killed."""
LIGHT = (
    "diagnosticDataCollectionEnabled=false",
    "logicalSessionRefreshMillis=3600000",
    "enableTestCommands=1",
)


class NotHere(Exception):
    """No MongoDB server can be run on this machine; the text says why."""


@cache
def binary() -> Path:
    """The server's program. Raises NotHere."""
    found = subprocess.run([ROOT / "scripts" / "mongod"], capture_output=True, text=True, check=False)
    if found.returncode:
        raise NotHere(f"scripts/mongod could not fetch it: {found.stderr.strip()[-300:]}")
    program = Path(found.stdout.strip())
    tried = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise NotHere(f"{program} does not run here: {tried.stderr.strip()[-300:]}")
    return program


class Member:
    """One mongod. ``kill`` and ``start`` may be called again and again: the data stay."""

    def __init__(self, folder: Path, cache_gigabytes: float, port: int = 0) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._cache = cache_gigabytes
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Run it, and wait until it answers. Raises NotHere."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*TIED, *self._command()], stdout=log, stderr=log)
        deadline = monotonic() + PATIENCE
        while not self._listens():
            if self._process.poll() is not None or monotonic() > deadline:
                raise NotHere(f"mongod did not start: {self._complaint()}")
            sleep(0.02)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it at once (or by ``how``) and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop its process where it stands, as a machine that hangs would; ``resume`` goes on."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _command(self) -> list[str]:
        options = [
            *("--dbpath", str(self.folder), "--port", str(self.port), "--bind_ip", "127.0.0.1"),
            *("--replSet", NAME, "--oplogSize", "512", "--nounixsocket", "--quiet"),
            *("--wiredTigerCacheSizeGB", str(self._cache)),
        ]
        return [str(binary()), *options, *(part for each in LIGHT for part in ("--setParameter", each))]

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def _complaint(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-600:]


class ReplicaSet:
    """``uri`` is for clients; ``members[0]`` was the first primary."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(member.address for member in self.members)}/?replicaSet={NAME}"

    def initiate(self, *, journaled: bool) -> None:
        """Make a set of the members and wait for its primary. ``journaled``: see ``replica_set``."""
        config = {
            "_id": NAME,
            "members": [{"_id": place, "host": each.address} for place, each in enumerate(self.members)],
            "settings": QUICK,
            "writeConcernMajorityJournalDefault": journaled,
        }
        with _direct(self.members[0]) as client:
            client.admin.command("replSetInitiate", config)
        self.primary()

    def primary(self) -> Member:
        """The member that takes writes now, waiting for the end of an election."""
        deadline = monotonic() + PATIENCE
        while monotonic() < deadline:
            for member in self.members:
                with suppress(PyMongoError), _direct(member) as client:
                    if client.admin.command("hello")["isWritablePrimary"]:
                        return member
            sleep(0.02)
        raise NotHere("no member of the replica set became its primary")

    def step_down(self) -> None:
        """Have the primary resign, as for maintenance; another member is elected."""
        with suppress(PyMongoError), _direct(self.primary()) as client:
            client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=1, force=True)


@contextmanager
def replica_set(
    members: int = 1, *, journaled: bool = False, cache_gigabytes: float = 0.25, port: int = 0
) -> Iterator[ReplicaSet]:
    """A running replica set with empty databases. Raises NotHere.

    ``journaled`` False: "majority" does not mean that the journals have it, unless a write says so. That is what the
    tests want that end no member, because a commit that waits for the journals' next turn takes a tenth of a second.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="fhir-mongod-", dir=_quick_folder()))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        started = []
        for number in range(members):
            started.append(Member(folder / str(number), cache_gigabytes, port + number if port else 0))
            stack.callback(started[-1].kill)
            started[-1].start()
        found = ReplicaSet(started)
        found.initiate(journaled=journaled)
        yield found


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def with_database(uri: str, name: str) -> str:
    """``uri`` with the path ``/name``."""
    head, _, options = uri.partition("?")
    scheme, _, rest = head.partition("://")
    return f"{scheme}://{rest.split('/')[0]}/{name}" + (f"?{options}" if options else "")


def _direct(member: Member) -> MongoClient[dict[str, Any]]:
    return MongoClient(member.address, directConnection=True, serverSelectionTimeoutMS=2000)


def _quick_folder() -> str | None:
    """Memory, when there is plenty: the tests write much and keep nothing."""
    shared = Path("/dev/shm")
    if shared.is_dir() and shutil.disk_usage(shared).free > 4 * 2**30:
        return str(shared)
    return None


def _main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Run a MongoDB replica set for a try-out until Ctrl-C.")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--port", type=int, default=27017, help="of the first member")
    parser.add_argument("--cache", type=float, default=1.0, help="gigabytes of each member")
    chosen = parser.parse_args(arguments)
    try:
        with replica_set(
            chosen.members, journaled=True, cache_gigabytes=chosen.cache, port=chosen.port
        ) as running:
            print(f"FHIR_STORE={with_database(running.uri, 'fhir')}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except NotHere as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
