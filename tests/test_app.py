"""The composition root: what changes between two starts takes effect on what is kept already."""

import asyncio
import shutil
from pathlib import Path

import orjson
import pytest

from fhir_server.app import build, opened
from fhir_server.errors import InvalidSearch, NotReady
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM

ROOT = Path(__file__).parents[1]
NICKNAME = {
    "resourceType": "SearchParameter", "id": "nickname", "url": "http://example.org/SearchParameter/nickname",
    "name": "nickname", "status": "active", "description": "x", "code": "nickname", "base": ["Patient"],
    "type": "string", "expression": "Patient.name.where(use = 'nickname').text",
}  # fmt: skip


async def found(server, *pairs):
    answer = orjson.loads((await search(server, SYSTEM, "Patient", pairs)).resource)
    return [
        entry["resource"]["id"] for entry in answer.get("entry", ()) if entry["search"]["mode"] == "match"
    ]


async def test_a_search_parameter_added_to_the_profiles_finds_what_is_here(settings, tmp_path):
    profiles = tmp_path / "profiles"
    shutil.copytree(ROOT / "profiles", profiles)
    settings = settings.model_copy(update={"profiles": profiles})
    patient = {"resourceType": "Patient", "id": "p", "name": [{"use": "nickname", "text": "小周"}]}
    async with opened(settings) as server:
        await update(server, SYSTEM, Resource.of(patient), id="p")
        try:
            await found(server, ("nickname", "小"))
        except InvalidSearch as error:
            assert "nickname" in str(error)
    (profiles / "search-parameters" / "nickname.json").write_text(orjson.dumps(NICKNAME).decode())
    async with opened(settings) as server:
        with pytest.raises(NotReady):
            await found(server, ("nickname", "小"))
    async with build(settings).running() as running:
        while running.server.parameters.unfinished:
            await asyncio.sleep(0.01)
        assert await found(running.server, ("nickname", "小")) == ["p"]
    async with opened(settings) as server:
        assert await found(server, ("nickname", "小")) == ["p"]


async def test_another_time_zone_moves_dates_that_have_none(settings):
    patient = {"resourceType": "Patient", "id": "p", "deceasedDateTime": "2026-03-02"}
    asked = ("death-date", "2026-03-02T00:30:00+08:00")
    async with opened(settings) as server:
        await update(server, SYSTEM, Resource.of(patient), id="p")
        assert await found(server, ("death-date", "sa2026-03-01T23:00:00+08:00")) == ["p"]
    async with opened(settings.model_copy(update={"timezone": "UTC"})) as server:
        assert await found(server, ("death-date", f"sa{asked[1]}")) == ["p"]
