"""What is done when a store is opened: collections, validators and indexes as ``documents`` declares them.

Source: MongoDB manual, createIndexes, Schema Validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mongoengine import (
    BinaryField,
    IntField,
    ListField,
    LongField,
    StringField,
)
from pymongo import IndexModel, MongoClient
from pymongo.errors import OperationFailure

from fhir_server.errors import StoreUnavailable
from fhir_server.stores.mongo.documents import DOCUMENTS, SCHEMA
from fhir_server.stores.mongo.migrations import migrate

OLDEST: Final = 17
"""The wire version of MongoDB 6.0, the oldest that is used."""

_BSON: Final[Mapping[type, list[str]]] = {
    StringField: ["string"],
    LongField: ["int", "long"],
    IntField: ["int"],
    BinaryField: ["binData"],
    ListField: ["array"],
}
_EXISTS: Final = 48
_EMPTY: Final = {"schema": SCHEMA, "index": "", "s": 0, "n": 0, "w": 0, "g": 0, "b": 0}


def prepare(client: MongoClient[dict[str, Any]], name: str) -> list[str]:
    """Make in the database ``name`` what is missing; returns what differs from what is declared and was left alone.

    Raises StoreUnavailable for a server that cannot be used or a newer store, PyMongoError.
    """
    _require_usable(client)
    database = client[name]
    state = database.state.find_one({"_id": "store"})
    if state is not None and state["schema"] > SCHEMA:
        raise StoreUnavailable(
            f"the store was written by a newer version of this program (schema {state['schema']}, this one knows "
            f"{SCHEMA}): upgrade the program or open another store"
        )
    there = {each["name"]: each for each in database.list_collections()}
    drift = [line for document in DOCUMENTS for line in _prepare(database, document, there)]
    if state is not None:
        migrate(database, state["schema"])
    else:
        database.state.update_one({"_id": "store"}, {"$setOnInsert": _EMPTY}, upsert=True)
    return drift


def _require_usable(client: MongoClient[dict[str, Any]]) -> None:
    hello = client.admin.command("hello")
    if hello["maxWireVersion"] < OLDEST:
        raise StoreUnavailable("the database is older than MongoDB 6.0: upgrade it")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise StoreUnavailable(
            "the database is no replica set, which transactions need: start it with --replSet, and run "
            "rs.initiate() once"
        )


def _prepare(database: Any, document: Any, there: Mapping[str, Any]) -> Iterator[str]:
    name, validator = document._get_collection_name(), validator_of(document)
    if name not in there:
        _create(database, name, validator)
    elif there[name].get("options", {}).get("validator") != validator:
        database.command("collMod", name, validator=validator)
    declared = {index.document["name"]: index for index in indexes_of(document)}
    known = database[name].index_information()
    missing = [index for index_name, index in declared.items() if index_name not in known]
    if missing:
        database[name].create_indexes(missing)
    yield from _differences(name, declared, known)


def _create(database: Any, name: str, validator: Mapping[str, Any]) -> None:
    try:
        database.create_collection(name, validator=validator, check_exists=False)
    except OperationFailure as error:
        if error.code != _EXISTS:  # else another server was faster
            raise


def _differences(
    collection: str, declared: Mapping[str, IndexModel], known: Mapping[str, Any]
) -> Iterator[str]:
    for name in known.keys() - declared.keys() - {"_id_"}:
        yield f"{collection}: the index {name} is not used; drop it, unless it is yours or serves the shard key"
    for name in known.keys() & declared.keys():
        if list(known[name]["key"]) != list(declared[name].document["key"].items()):
            yield f"{collection}: the index {name} has other keys than this program needs: drop it, then restart"


def indexes_of(document: Any) -> list[IndexModel]:
    """The indexes that ``document`` declares."""
    return [
        IndexModel(spec["fields"], **{name: value for name, value in spec.items() if name != "fields"})
        for spec in document._meta["index_specs"]
    ]


def validator_of(document: Any) -> dict[str, Any]:
    """What the database checks of each document of a collection: the fields that are required, and types."""
    fields = document._fields.values()
    types = {each.db_field: {"bsonType": _BSON[type(each)]} for each in fields if type(each) in _BSON}
    required = sorted(each.db_field for each in fields if each.required)
    return {"$jsonSchema": {"bsonType": "object", "required": required, "properties": types}}
