"""Fixtures of the referral floor: H2 (township) sends patient p1 to H1 (county), on a whole server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from referral_scene import H1, Json, Scene

from fhir_server.interactions.context import Server
from fhir_server.referral.table import load_workflow
from fhir_server.referral.workflow import Workflow


@pytest.fixture
def workflow() -> Workflow:
    return load_workflow()


@pytest.fixture
async def scene(server: Server) -> Scene:
    scene = Scene(server)
    for id in ("h1", "h2", "h3"):
        await scene.put({"resourceType": "Organization", "id": id, "name": id})
    await scene.put({"resourceType": "Patient", "id": "p1"})
    return scene


@pytest.fixture
def reply(scene: Scene) -> Callable[[], Awaitable[Json]]:
    """Parameters that ``$complete`` needs, with a discharge summary in the store."""

    async def make() -> Json:
        document = {
            "resourceType": "DocumentReference",
            "id": "letter",
            "status": "current",
            "content": [{"attachment": {"contentType": "text/plain", "title": "出院小结"}}],
        }
        await scene.put(document, H1)
        return {
            "reply": ("valueReference", {"reference": "DocumentReference/letter"}),
            "outcome": ("valueCode", "treated"),
            "next_step": ("valueString", "两周后随访"),
        }

    return make
