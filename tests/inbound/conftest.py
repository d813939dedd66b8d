"""Fixtures of the inbound floor."""

from __future__ import annotations

import pytest
from inbound_scene import ROOT, Scene, load_organizations

from fhir_server.interactions.context import Server
from fhir_server.mapping import Mappings, load_mappings
from fhir_server.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a limit for bodies that a test can go over."""
    return settings.model_copy(update={"max_body": 100_000})


@pytest.fixture(scope="session")
def mappings() -> Mappings:
    loaded = load_mappings(ROOT / "mappings")
    assert loaded.faults == {}
    return loaded


@pytest.fixture
async def inbound(server: Server, mappings: Mappings) -> Scene:
    await load_organizations(server)
    return Scene(server, mappings)
