"""``fhir-server validate``: the issues of files, without a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from fhir_server.cli.sources import Item, read_items
from fhir_server.errors import FhirError, Issue
from fhir_server.model.resource import Json, Resource


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("validate")(validate)


def validate(paths: Annotated[list[Path], typer.Argument(metavar="FILE…", show_default=False)]) -> None:
    """Print the issues of resources, with FHIRPath expressions; exit 1 on errors."""
    from fhir_server.definitions import load_definitions
    from fhir_server.validation import Validator

    validator = Validator(load_definitions())
    faults = 0
    for item in read_items(paths):
        issues = _issues(item, validator.validate)
        faults += any(issue.is_error for issue in issues)
        for issue in issues:
            where = f" {issue.expression}" if issue.expression else ""
            typer.echo(f"{item.name}: {issue.severity} ({issue.code}){where}: {issue.text}")
        if not issues:
            typer.echo(f"{item.name}: no issues")
    raise typer.Exit(1 if faults else 0)


def _issues(item: Item, check: Callable[[Json], list[Issue]]) -> list[Issue]:
    try:
        return check(Resource.parse(item.raw).data)
    except FhirError as error:
        return list(error.issues)
