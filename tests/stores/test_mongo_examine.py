"""``store check`` on MongoDB: damage of every kind is planted, found and, where content decides, repaired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from contract_kit import clause, day, deletion, extract, ids, parameter, put, query, record, token
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

from fhir_server.search.unfinished import Progress
from fhir_server.store import Examination
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.mongo.store import MongoStore

EVERYTHING = {
    "code": [["s", "c"]], "subject": [["Patient", "p"]], "url": ["urn:x"], "name": ["张伟", "pinyin:zhangwei"],
    "date": [day(1)], "issued": [day(2)], "value": [[1.5, "u", "mg"]], "code-value": [[["s", "c"], [1.5, "u", "mg"]]],
    "near": [[30.0, 120.0]],
}  # fmt: skip


async def filled(url: str) -> MongoStore:
    store = MongoStore.open(url, extract=extract)
    store.index_by("rules")
    await put(store, *(record("Observation", f"o{number}", **EVERYTHING) for number in range(3)))
    await put(store, record("Observation", "o1", 2, **EVERYTHING | {"code": [["s", "other"]]}))
    await put(store, deletion("Observation", "o2", 2), record("_Client", "secret", code=[["s", "c"]]))
    return store


async def examined(store: MongoStore, *, fix: bool = False) -> Examination:
    return await store.examine("rules", fix=fix, told=lambda count: None)


@pytest.fixture
def database(mongo_url: str) -> Iterator[Any]:
    """The same database past its store, validators off."""
    with MongoClient(mongo_url) as client:
        yield client[parse_uri(mongo_url)["database"]]


async def test_nothing_is_wrong_with_a_good_store(mongo_url: str) -> None:
    store = await filled(mongo_url)
    for fix in (False, True):
        assert await examined(store, fix=fix) == Examination(3, ())
    await store.close()


INDEX: dict[str, dict[str, Any]] = {
    **{f"{name} lost": {"$unset": {name: ""}} for name in "kxeqcga"},
    "a term too many": {"$push": {"k": "00000001:x"}},
    "an arm too many": {"$push": {"a": 7}},
    "a wrong date": {"$set": {"d": 1}},
    "a wrong shard key": {"$set": {"p": "Patient/somebody"}},
    "a wrong number": {"$set": {"q.0.l": 9.0}},
}


@pytest.mark.parametrize("change", INDEX.values(), ids=INDEX.keys())
async def test_what_is_wrong_with_index_values_is_found_and_repaired(
    mongo_url: str, database: Any, change: dict[str, Any]
) -> None:
    store = await filled(mongo_url)
    database.resource.update_one({"_id": "Observation/o0"}, change)
    found = await examined(store)
    assert [each.place for each in found.findings] == ["Observation/o0"]
    assert await examined(store) == found, "looking changes nothing"
    assert (await examined(store, fix=True)).repaired == found.findings
    assert await examined(store) == Examination(3, ())
    wanted = query("Observation", clause(parameter("Observation", "code"), token("c")))
    assert await ids(store, wanted) == ["o0"]
    await store.close()


DAMAGE = {
    "not packed": ("resource", {"$set": {"z": b"garbage"}}, "unpacked"),
    "another resource": ("resource", {"$set": {"z": Blobs().compress(b'{"id":"x"}')}}, "another resource"),
    "a past version": ("history", {"$set": {"v": 9}}, "not older"),
    "a number": ("history", {"$set": {"n": 9}}, "another number"),
    "past versions of nothing": ("history", {"$set": {"r": "Observation/none"}}, "no current one"),
    "a counter": ("state", {"$set": {"s": 2}}, "beyond the counter"),
    "a field lost": ("resource", {"$unset": {"w": ""}}, "lack a field"),
}


@pytest.mark.parametrize(("collection", "change", "text"), DAMAGE.values(), ids=DAMAGE.keys())
async def test_what_only_a_backup_can_heal_is_named(
    mongo_url: str, database: Any, collection: str, change: dict[str, Any], text: str
) -> None:
    store = await filled(mongo_url)
    database.command("collMod", collection, validator={})
    one = {"resource": {"_id": "Observation/o1"}, "history": {"r": "Observation/o1"}, "state": {}}
    database[collection].update_one(one[collection], change)
    for fix in (False, True):
        found = (await examined(store, fix=fix)).findings
        assert any(text in each.text and "backup" in each.text for each in found), found
    await store.close()


async def test_an_index_of_somebody_else_is_told(mongo_url: str, database: Any) -> None:
    await (await filled(mongo_url)).close()
    database.resource.create_index("i", name="theirs")
    store = MongoStore.open(mongo_url, extract=extract)
    (found,) = (await examined(store)).findings
    assert "the index theirs is not used" in found.text
    await store.close()


async def test_arms_that_are_being_built_are_left_out(mongo_url: str) -> None:
    store = await filled(mongo_url)
    keys = parameter("Observation", "code").keys
    async with store.transaction() as transaction:
        assert await transaction.unindex(frozenset(keys), 100) > 0
    assert (await examined(store)).findings
    store.unfinished.hold(keys, Progress("Observation"))
    assert await examined(store) == Examination(3, ())
    await store.close()


async def test_an_index_by_other_rules_is_told(mongo_url: str) -> None:
    store = await filled(mongo_url)
    (found,) = (await store.examine("others", fix=True, told=lambda count: None)).findings
    assert "other rules" in found.text
    await store.close()
