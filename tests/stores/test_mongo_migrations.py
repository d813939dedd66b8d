"""Databases of older programs: brought to this one's schema, whoever fails in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from contract_kit import extract, put, record
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

from fhir_server.errors import StoreUnavailable
from fhir_server.stores.mongo import migrations, setup
from fhir_server.stores.mongo.documents import SCHEMA
from fhir_server.stores.mongo.migrations import MIGRATIONS, Migration
from fhir_server.stores.mongo.store import MongoStore


class Killed(BaseException):
    """The process has ended here."""


@pytest.fixture
def database(mongo_url: str) -> Iterator[Any]:
    with MongoClient(mongo_url) as client:
        yield client[parse_uri(mongo_url)["database"]]


async def test_a_step_that_is_cut_off_is_begun_again(
    mongo_url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MongoStore.open(mongo_url, extract=extract)
    store.index_by("rules")
    await put(store, *(record("Patient", f"p{number}") for number in range(4)))
    await store.close()
    kills = [1, 3]

    def stamp(name: str) -> Any:
        def change(database: Any) -> None:
            for count, row in enumerate(database.resource.find({name: {"$exists": False}}, {"p": 1})):
                if kills and count == kills[0]:
                    kills.pop(0)
                    raise Killed
                database.resource.update_one({"_id": row["_id"], "p": row["p"]}, {"$set": {name: 1}})

        return change

    steps = [Migration(2, stamp("y2")), Migration(3, stamp("y3"), is_indexed_again=True)]
    monkeypatch.setattr(migrations, "MIGRATIONS", steps)
    monkeypatch.setattr(setup, "SCHEMA", 3)
    seen = []
    while kills:
        with pytest.raises(Killed):
            MongoStore.open(mongo_url, extract=extract)
        seen.append(database.state.find_one({})["schema"])
    assert seen == [1, 2], "once in each step"
    await MongoStore.open(mongo_url, extract=extract).close()
    state = database.state.find_one({})
    assert (state["schema"], state["index"]) == (3, "")
    assert database.resource.count_documents({"y2": 1, "y3": 1}) == 4
    await MongoStore.open(mongo_url, extract=extract).close()
    assert database.state.find_one({}) == state, "what is done is not done again"


async def test_a_store_of_a_newer_program_is_refused(mongo_url: str, database: Any) -> None:
    await MongoStore.open(mongo_url, extract=extract).close()
    database.state.update_one({}, {"$set": {"schema": SCHEMA + 1}})
    with pytest.raises(StoreUnavailable, match="newer version"):
        MongoStore.open(mongo_url, extract=extract)


def test_there_is_a_step_to_every_version() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(2, SCHEMA + 1))
