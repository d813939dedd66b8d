"""The documents describe all there is: settings, commands, operations, folders, rows. test_readme runs the README."""

import re
from pathlib import Path

import pytest
import typer
import yaml

import fhir_server.interactions.operations
import fhir_server.referral.operations
from fhir_server.cli import app
from fhir_server.cli.bench.copying import COPY
from fhir_server.cli.bench.large import FIRST_PAGES, LARGE
from fhir_server.cli.bench.rows import ROWS
from fhir_server.cli.bench.searches import SEARCHES
from fhir_server.errors import FhirError
from fhir_server.interactions.operations import find_operations
from fhir_server.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
}


def test_every_setting_is_described_with_its_default():
    rows = {
        name: row.split("|")
        for row in (ROOT / "docs/operation.md").read_text("utf-8").splitlines()
        for name in re.findall(r"`(FHIR_[A-Z_]+)`", row.split("|")[1] if row.startswith("|") else "")
    }
    assert set(rows) == {f"FHIR_{name.upper()}" for name in Settings.model_fields}
    assert all(len(row[3].strip()) > 10 for row in rows.values())


def test_every_command_is_described():
    described = set(re.findall(r"^\| `([a-z-]+)` \|", DOCS["docs/command-line.md"], flags=re.M))
    assert described == set(typer.main.get_command(app).commands)


def test_every_command_has_help():
    for name, command in typer.main.get_command(app).commands.items():
        assert command.help, name


def test_every_operation_is_described():
    found = find_operations(fhir_server.interactions.operations, fhir_server.referral.operations)
    codes = {operation.code for operations in found.values() for operation in operations}
    text = DOCS["docs/referral.md"] + DOCS["docs/operations.md"]
    assert codes
    assert {code for code in codes if f"${code}" not in text} == set()


def test_every_move_of_the_guard_table_is_described():
    table = yaml.safe_load((ROOT / "fhir_server/referral/transitions.yaml").read_text("utf-8"))
    moves = {move["op"] for move in table["moves"]} - {"create"}
    assert {move for move in moves if f"`${move}`" not in DOCS["docs/referral.md"]} == set()
    codes = {code for vocabulary in table["vocabularies"].values() for code in vocabulary["codes"]}
    assert {code for code in codes if code not in DOCS["docs/referral.md"]} == set()


def test_every_floor_is_drawn():
    floors = DOCS["ARCHITECTURE.md"].split("```")[1]
    packages = {
        path.name.removesuffix(".py") for path in (ROOT / "fhir_server").iterdir() if path.name[0] not in "_."
    }
    assert {name for name in packages if not re.search(rf"\b{name}\b", floors)} == set()


def test_every_error_class_has_its_status_in_the_docs():
    def below(kind):
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    statuses = {kind.status for kind in below(FhirError)}
    assert {status for status in statuses if str(status) not in DOCS["docs/api.md"]} == set()


def test_every_row_of_the_benchmark_is_described():
    assert {
        row
        for row in [*ROWS, *SEARCHES, *FIRST_PAGES, LARGE, COPY, "import", "bare-gathered"]
        if f"`{row}`" not in DOCS["docs/benchmark.md"]
    } == set()


@pytest.mark.parametrize("name", DOCS)
def test_links_lead_somewhere(name):
    base = (ROOT / name).parent
    targets = [
        t.split("#")[0] for t in re.findall(r"\]\(([^)]+)\)", DOCS[name]) if not t.startswith(("http", "#"))
    ]
    assert [target for target in targets if not (base / target).exists()] == []


def test_the_index_names_every_document():
    names = {path.name for path in ROOT.glob("docs/*.md")} - {"README.md"}
    assert {name for name in names if f"({name})" not in DOCS["docs/README.md"]} == set()
