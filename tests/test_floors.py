"""The floors are kept by a machine: this runs the import contract of pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: PLW1510
        LINT, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(folder), "PATH": ""}
    )


def test_imports_go_down_only():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("search/planted.py", "import fhir_server.interactions.create\n"),
        ("rest/planted.py", "import fhir_server.stores.sqlite.store\n"),
        ("interactions/planted.py", "import fhir_server.settings\n"),
    ],
)
def test_the_contract_catches_a_planted_import(tmp_path, module, line):
    import shutil

    shutil.copytree(
        ROOT / "fhir_server", tmp_path / "fhir_server", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "fhir_server" / module).write_text(line)
    done = lint(tmp_path)
    assert done.returncode != 0
    assert "planted" in done.stdout
