"""MongoDB servers that fail on demand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError


@contextmanager
def failing(url: str, *commands: str, times: int = 1, **how: Any) -> Iterator[None]:
    """The next ``times`` calls of ``commands`` fail so; skipped on a server that does not take orders to fail."""
    point = {"configureFailPoint": "failCommand"}
    with MongoClient(url) as client:
        try:
            data = {"failCommands": list(commands), "appName": "fhir-server", **how}
            client.admin.command({**point, "mode": {"times": times}, "data": data})
        except PyMongoError as error:
            pytest.skip(f"this server does not fail on demand: {error}")
        try:
            yield
        finally:
            client.admin.command({**point, "mode": "off"})
