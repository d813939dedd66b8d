"""``fhir-server bench``: the server's figures as ratios to a bare ASGI reply of the same machine and run.

It starts its own server on a temporary store, auth and validation on, and prints each
row's rate, p50, p99 and ratio. Every row checks its answers, so a fast error is never a fast answer.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import orjson
import typer

from fhir_server.cli.bench.report import Figures, print_figures
from fhir_server.cli.bench.run import NAMES, run_bench
from fhir_server.cli.bench.stores import mongo_databases, sqlite_file


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(bench)


def bench(
    json: Annotated[Path | None, typer.Option(help="write the figures to this file too")] = None,
    seconds: Annotated[float, typer.Option(help="how long each row runs")] = 4.0,
    patients: Annotated[
        int, typer.Option(help="patients of the built-in data set, nine observations each")
    ] = 1000,
    only: Annotated[list[str] | None, typer.Option(help="only these rows")] = None,
    packs: Annotated[
        Path | None, typer.Option(help="folder with synthea-medium-150.tar.xz for the import row")
    ] = None,
    workers: Annotated[int, typer.Option(help="processes that serve")] = 1,
    mongodb: Annotated[
        str | None, typer.Option(help="on new databases of this MongoDB: mongodb://host/?replicaSet=name")
    ] = None,
    large: Annotated[
        bool, typer.Option("--large", help="also what takes minutes: a Bundle of 70 MB, 500,000 resources")
    ] = False,
) -> None:
    """Measure this server on this machine."""
    rows = tuple(only or ())
    if unknown := set(rows).difference(NAMES):
        raise typer.BadParameter(
            f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}", param_hint="--only"
        )
    with tempfile.TemporaryDirectory(prefix="fhir-bench-") as folder:
        stores = mongo_databases(mongodb) if mongodb else sqlite_file
        figures = run_bench(
            Path(folder), seconds, patients, rows, packs, large=large, workers=workers, stores=stores
        )
    print_figures(figures)
    if json:
        json.write_bytes(orjson.dumps(figures.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
    raise typer.Exit(1 if any(row.errors for row in figures.rows) else 0)


__all__ = ["Figures", "register"]
