"""Every command of the README runs, in its order, in a folder that looks like a fresh clone.

``scripts/serve`` goes on in the background until the end. ``scripts/test`` would run this test again, so it is
called for one small test. The ports are free ones instead of 8080 and 2575.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest

from fhir_server.cli.bench.process import free_port

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), flags=re.S)
PARTS = ("fhir_server", "profiles", "mappings", "scripts", "requirements", "tests", "pyproject.toml")
SERVE, TEST = "scripts/serve\n", "scripts/test\n"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    for part in PARTS:
        (folder / part).symlink_to(ROOT / part)
    make_venv(folder / ".venv")
    return folder


def make_venv(folder):
    """A venv of its own, as scripts/setup leaves it, that borrows the packages of the one that runs this test."""
    venv.create(folder, symlinks=True, with_pip=False)
    site = next(folder.glob("lib/python3.*/site-packages"))
    (site / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    shutil.copy(Path(sys.prefix) / "stamps", folder)


@pytest.fixture(scope="module")
def environment():
    http, mllp = free_port(), free_port()
    return {**os.environ, "FHIR_PORT": str(http), "FHIR_MLLP_PORT": str(mllp), "FHIR_LOG": "error"}


@pytest.fixture(scope="module")
def serving(clone, environment):
    log = (clone / "serve.log").open("wb")
    process = subprocess.Popen(
        ["sh", "-c", "exec scripts/serve"],
        cwd=clone,
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while b"Swagger" not in (clone / "serve.log").read_bytes():
        assert process.poll() is None and time.monotonic() < until, (clone / "serve.log").read_text()
        time.sleep(0.1)
    yield (clone / "serve.log").read_text()
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(30) in {0, -signal.SIGTERM}
    log.close()


def adapted(block, environment):
    text = block.replace("8080", environment["FHIR_PORT"])
    base = f"--base http://127.0.0.1:{environment['FHIR_PORT']}/fhir --mllp mllp://127.0.0.1:{environment['FHIR_MLLP_PORT']}"
    return text.replace("fhir-server demo", f"fhir-server demo {base}").replace(
        TEST, "scripts/test -q tests/test_floors.py\n"
    )


def test_the_first_start_says_what_it_does(serving):
    assert "loading the demo county" in serving
    assert "chenxi-county-hospital" in serving
    assert "/health/ready" in serving


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block != SERVE], ids=lambda block: block.split("\n")[0][:40]
)
def test_the_command_runs(clone, environment, serving, block):
    done = subprocess.run(  # noqa: PLW1510
        ["sh", "-euc", adapted(block, environment)],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert '"severity":"error"' not in done.stdout


def test_the_readme_begins_with_serve_and_names_test():
    assert BLOCKS[0] == SERVE
    assert TEST in BLOCKS
