"""One of several server processes: ``python -m fhir_server.cli.worker``, started by the supervisor only.

It reads its place from the first line of standard input, serves on the socket that it inherited, and stops when the
supervisor is gone (standard input ends) or asks it to (SIGTERM).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path

import msgspec

from fhir_server.cli.serve import announce, load_demo
from fhir_server.cli.workers import READY, Place
from fhir_server.settings import Settings


def main() -> None:
    """Serve until the end. Exit status 3 when the server could not start."""
    from fhir_server.app import Worker, build
    from fhir_server.cli.accepting import Loads, SharingServing

    place = msgspec.json.decode(sys.stdin.buffer.readline(), type=Place)
    settings = Settings(**place.settings)
    is_first = place.number == 0
    worker = Worker(place.number, settings.workers, Path(place.folder))
    app = build(settings, prepare=load_demo if is_first and place.demo else None, worker=worker)
    threading.Thread(target=_stop_with, args=(sys.stdin.fileno(),), daemon=True).start()

    def tell() -> None:
        if is_first:
            announce(settings)
        print(READY, flush=True)

    listening = socket.socket(fileno=place.descriptor)
    loads = Loads(worker.folder, worker.number, worker.count)
    server = SharingServing(app, tell, listening, loads)
    server.run()
    if not server.succeeded:
        sys.exit(3)


def _stop_with(supervisor: int) -> None:
    """Stop this process, cleanly, when the supervisor's end of the pipe is closed."""
    while os.read(supervisor, 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
