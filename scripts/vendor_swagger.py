#!/usr/bin/env python3
"""Puts Swagger UI into ``fhir_server/rest/swagger/static/``, so that hospitals without internet have it too.

The npm package is pinned and its hash checked; it is read, never installed or run. A second run gives the
same bytes. Needs npm. Usage::

    .venv/bin/python scripts/vendor_swagger.py [--archive PATH] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "swagger-ui-dist@5.35.0"
ARCHIVE_SHA256 = "1b8e891893404ea4c3558b6a87e2a3e494e7eedba41168c2ece5800a391a6ea6"
OUT = Path(__file__).resolve().parent.parent / "fhir_server" / "rest" / "swagger" / "static" / "vendor"
FILES = (
    "swagger-ui-bundle.js",
    "swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui.css",
    "favicon-32x32.png",
    "LICENSE",
    "NOTICE",
)
"""Apache-2.0; the licences of what is bundled stand beside the bundle."""


def download(folder: Path) -> Path:
    """The pinned archive, fetched by npm into ``folder``."""
    subprocess.run(["npm", "pack", PACKAGE, "--silent", "--pack-destination", str(folder)], check=True)
    return next(folder.glob("*.tgz"))


def checked(archive: Path) -> Path:
    """``archive``, when its bytes are the pinned ones; otherwise the program ends."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != ARCHIVE_SHA256:
        sys.exit(f"{archive} is not {PACKAGE}: its sha256 is {found}, expected {ARCHIVE_SHA256}")
    return archive


def unpack(archive: Path, out: Path) -> None:
    """Write ``FILES`` to ``out`` and say what was written."""
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "r:gz") as package:
        for name in FILES:
            member = package.extractfile(f"package/{name}")
            if member is None:
                sys.exit(f"{PACKAGE} has no file {name}")
            size = (out / name).write_bytes(member.read())
            print(f"{out / name}  {size} bytes")


def main() -> None:
    """Fetch, check, unpack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archive", type=Path, help="the npm archive, when it is here already")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = options.archive or download(Path(folder))
        unpack(checked(archive), options.out)


if __name__ == "__main__":
    main()
