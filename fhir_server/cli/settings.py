"""``fhir-server settings``: every setting, its value, default and meaning."""

from __future__ import annotations

import re

import typer
from rich.console import Console
from rich.table import Table

from fhir_server.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("settings")(show)


def show() -> None:
    """Every setting: name, value, default, meaning; secrets masked."""
    current = Settings()
    table = Table("name", "value", "default", "meaning", box=None, pad_edge=False)
    for name, definition in Settings.model_fields.items():
        value = mask(str(getattr(current, name)))
        table.add_row(f"FHIR_{name.upper()}", value, str(definition.default), definition.description or "")
    Console(soft_wrap=True).print(table)


def mask(value: str) -> str:
    """``value`` with the password of a URL hidden."""
    return re.sub(r"(://[^/:@]+):[^@/]+@", r"\1:***@", value)
