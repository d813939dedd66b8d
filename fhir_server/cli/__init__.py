"""The command line ``fhir-server``: one file per family of commands.

Exit codes: 0 done, 1 the input was at fault (listed), 2 wrong usage, 3 the environment (store
away, port taken). An error is one clear line; a trace only with ``--debug``.
"""

from __future__ import annotations

import sys

import typer

from fhir_server.cli import bench, clients, demo, load, messages, reindex, serve, settings, store, validate
from fhir_server.cli.failures import explain

app = typer.Typer(
    name="fhir-server",
    help="HL7 FHIR R4 server for county medical communities (县域医共体).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for family in (serve, demo, load, validate, messages, reindex, store, clients, bench, settings):
    family.register(app)


def main() -> None:
    """Run the command line and leave with its exit code."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except Exception as error:
        if debug:
            raise
        line, code = explain(error)
        typer.echo(f"fhir-server: {line}", err=True)
        sys.exit(code)
