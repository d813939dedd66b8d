"""How values become entries of a document, and which resources stand together."""

from __future__ import annotations

from collections.abc import Iterator

import bson
import pytest
from contract_kit import extract, key, record

from fhir_server.definitions import Definitions, load_definitions
from fhir_server.errors import Conflict, StoreUnavailable, TooLarge
from fhir_server.search.index import IndexValues, ReferenceRow, StringRow, TokenRow
from fhir_server.search.registry import Registry
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.mongo import fields
from fhir_server.stores.mongo.batch import (
    Counters,
    Documents,
    Stored,
    Write,
    documents_of,
    gather,
    resource_document,
)
from fhir_server.stores.mongo.connection import Place
from fhir_server.stores.mongo.documents import DOCUMENTS
from fhir_server.stores.mongo.known import LARGE, MOST, Known
from fhir_server.stores.mongo.rebuild import of_arms, without_arms
from fhir_server.stores.mongo.setup import indexes_of, validator_of
from fhir_server.stores.mongo.shards import SUBJECT_KEYS, shard_key

# ── entries ───────────────────────────────────────────────────────────────────

MEMBERS = {
    "code": [["s", "c"], ["", "plain"]],
    "subject": [["Patient", "p"], ["", "http://x"]],
    "url": ["urn:x"],
    "name": ["张伟", "pinyin:zhangwei"],
    "date": [[1, 2], [5, 9]],
    "value": [[5, "u", "mg"]],
    "code-value": [[["s", "c"], [5, "u", "mg"]]],
    "near": [[30.0, 118.0]],
}


def entries(**members: object) -> fields.Fields:
    return fields.index_fields(
        "Observation", extract("Observation", record("Observation", "1", **members).content)
    )


def test_every_kind_has_its_entries() -> None:
    found, arms = entries(**MEMBERS), {name: fields.arm(key("Observation", name)) for name in MEMBERS}
    assert set(found["k"]) == {
        "Observation",
        f"{arms['code']}:c",
        f"{arms['code']}=s\nc",
        f"{arms['code']}:plain",
        f"{arms['code']}=\nplain",
        f"{arms['subject']}@p\nPatient",
        f"{arms['subject']}@http://x\n",
        f"{arms['url']}:urn:x",
        f"{arms['name']}~张伟",
        f"{arms['name']}~伟",
    }
    assert found["x"] == [f"{arms['name']}张伟\n=", f"{arms['name']}zhangwei\n"]
    assert [(each["k"], each["l"], each["h"]) for each in found["e"]] == [
        (key("Observation", "date"), 1, 2),
        (key("Observation", "date"), 5, 9),
    ]
    assert [(each["l"], each["h"], each["s"], each["c"]) for each in found["q"]] == [(5, 5, "u", "mg")]
    assert [(each["t"], each["s"], each["t2"], each["l2"]) for each in found["c"]] == [("c", "s", "mg", 5)]
    assert [(each["y"], each["x"]) for each in found["g"]] == [(30.0, 118.0)]
    assert set(found["a"]) == {key("Observation", name) for name in MEMBERS}


def test_what_has_no_values_has_the_name_of_its_type() -> None:
    assert entries() == {"k": ["Observation"], "a": []}


def test_the_end_of_a_line_in_a_value_does_not_end_its_entry() -> None:
    assert fields.token_term(1, "c", "a\nb") != fields.token_term(1, "b\nc", "a")
    assert fields.reference_term(1, "a\nb", "T") != fields.reference_term(1, "a", "b\nT")
    assert fields.string_entry(1, "a\n=b", "a\n=b") != fields.string_entry(1, "a", "b")


def test_the_entries_of_some_arms_are_told_from_the_others() -> None:
    found = entries(**MEMBERS)
    for name in MEMBERS:
        keys = {key("Observation", name)}
        own, others = of_arms(found, keys), without_arms(found, keys)
        assert own["a"] == list(keys)
        assert {each: len(own.get(each, ())) + len(others[each]) for each in found} == {
            each: len(items) for each, items in found.items()
        }
        assert "Observation" in others["k"]


# ── shards ────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load_definitions(None)


@pytest.fixture(scope="module")
def registry(definitions: Definitions) -> Registry:
    return Registry(definitions)


def _in_compartment(registry: Registry, definitions: Definitions, type: str) -> Iterator[tuple[int, ...]]:
    for code in definitions.compartments["Patient"].get(type, ("patient",)):
        yield registry.parameter(type, code).keys


@pytest.mark.parametrize("type", sorted(SUBJECT_KEYS))
def test_the_subject_is_what_a_patients_record_is_searched_by(
    registry: Registry, definitions: Definitions, type: str
) -> None:
    assert (SUBJECT_KEYS[type],) in set(_in_compartment(registry, definitions, type))


SUBJECT = SUBJECT_KEYS["Observation"]
SHARDS = [
    ("Observation", IndexValues(references=[ReferenceRow(SUBJECT, "p", "Patient")]), "Patient/p"),
    (
        "Observation",
        IndexValues(references=[ReferenceRow(SUBJECT, "p/_history/2", "Patient")]),
        "Observation/1",
    ),
    ("Observation", IndexValues(references=[ReferenceRow(SUBJECT, "g", "Group")]), "Observation/1"),
    ("Observation", IndexValues(references=[ReferenceRow(7, "p", "Patient")]), "Observation/1"),
    ("Observation", IndexValues(), "Observation/1"),
    ("Patient", IndexValues(references=[ReferenceRow(SUBJECT, "p", "Patient")]), "Patient/1"),
    ("Organization", IndexValues(), "Organization/1"),
    ("Observation", None, "Observation/1"),
]


@pytest.mark.parametrize(("type", "values", "expected"), SHARDS)
def test_a_patients_record_stands_together(type: str, values: IndexValues | None, expected: str) -> None:
    assert shard_key(type, "1", values) == expected


# ── documents ─────────────────────────────────────────────────────────────────


def write(id: str, version: int = 1, before: Stored | Write | None = None, **members: object) -> Write:
    made = record("Observation", id, version, **members)
    return gather(made, extract("Observation", made.content), before, Blobs())


def test_a_document_is_valid_bson_with_all_fields() -> None:
    made = write("1", **MEMBERS)
    document = bson.decode(resource_document(made, made.stored(3, 7, 9)).raw)
    assert {name: document[name] for name in ["_id", "t", "i", "n", "v", "s", "w"]} == {
        "_id": "Observation/1", "t": "Observation", "i": "1", "n": 3, "v": 1, "s": 7, "w": 9,
    }  # fmt: skip
    assert {name: document[name] for name in "kxeqcga"} == entries(**MEMBERS)
    declared = {each.db_field for each in DOCUMENTS[0]._fields.values()}
    assert set(document) == declared


def test_writes_are_numbered_in_their_order() -> None:
    first = write("1")
    writes = [first, write("2"), write("1", 2, first)]
    known: dict[tuple[str, str], Stored | None] = {}
    documents, counters = documents_of(writes, known, Counters(10, 5, 0))
    assert counters[:2] == (13, 7)
    assert [(each["s"], each["n"], each["v"]) for each in documents.created] == [(13, 6, 2), (12, 7, 1)]
    assert [(each["_id"], each["o"], each["n"], each["v"]) for each in documents.history] == [(11, 13, 6, 1)]
    assert documents.replaced == documents.removed == []
    assert known["Observation", "1"] is not None


def test_what_changes_its_shard_is_removed_and_created() -> None:
    before = write("1").stored(1, 1, 0)
    moved = record("Observation", "1", 2)
    values = IndexValues(references=[ReferenceRow(SUBJECT, "p", "Patient")])
    known: dict[tuple[str, str], Stored | None] = {("Observation", "1"): before}
    done: Documents = documents_of([gather(moved, values, before, Blobs())], known, Counters(1, 1, 0))[0]
    assert done.removed == [{"_id": "Observation/1", "p": "Observation/1", "v": 1}]
    assert [each["p"] for each in done.created] == ["Patient/p"]
    gone = record("Observation", "1", 3, method="DELETE")
    assert gather(gone, None, known["Observation", "1"], Blobs()).patient == "Patient/p"


def test_a_version_that_does_not_follow_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="read it again"):
        write("1", 3).require_follows(1)


def test_more_than_a_document_can_hold_is_refused() -> None:
    values = IndexValues(tokens=[TokenRow(1, f"{number:050}", "http://s") for number in range(150_000)])
    with pytest.raises(TooLarge, match="16 MB"):
        gather(record("Observation", "1"), values, None, Blobs())


def test_known_versions_last_while_nobody_else_writes() -> None:
    known = Known()
    small, large = (write("1").stored(1, 1, 0)._replace(content=b"x" * size) for size in (9, LARGE + 1))
    known.begin((0, 0))
    known["T", "small"], known["T", "large"] = small, large
    known.end((2, 0), list(known))
    known.begin((2, 0))
    assert list(known) == [("T", "small")]
    for number in range(MOST):
        known["T", str(number)] = small
    known.end((3, 0), ())
    assert len(known) == MOST
    assert ("T", "small") not in known
    known.begin((3, 1))
    assert not known


# ── declarations ──────────────────────────────────────────────────────────────


def test_every_collection_declares_what_the_database_checks_and_indexes() -> None:
    for document in DOCUMENTS:
        schema = validator_of(document)["$jsonSchema"]
        assert set(schema["required"]) <= set(schema["properties"])
        assert len({index.document["name"] for index in indexes_of(document)}) == len(indexes_of(document))
    resource = {index.document["name"]: dict(index.document["key"]) for index in indexes_of(DOCUMENTS[0])}
    assert resource["term"] == {"k": 1, "d": -1, "n": -1}


@pytest.mark.parametrize(
    "url", ["mongodb://", "mongodb://u:secret@h:x/d", "mongodb://u:sec ret@@h/", "redis://h"]
)
def test_a_url_that_cannot_be_used_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="no MongoDB URL") as caught:
        Place(url)
    assert "sec" not in str(caught.value.outcome())


def test_a_place_tells_no_password() -> None:
    place = Place("mongodb://user:secret@a:1,b:2/county?replicaSet=rs")
    assert (place.shown, place.database) == ("mongodb://a:1,b:2/county", "county")
    assert Place("mongodb://a").database == "fhir"


def test_a_url_overrides_the_options_of_the_client() -> None:
    given = Place("mongodb://a/?serverselectiontimeoutms=7&appName=mine").options
    assert given.keys() == Place("mongodb://a").options.keys() - {"serverSelectionTimeoutMS", "appname"}


def test_pinyin_and_written_forms_never_meet() -> None:
    rows = [
        StringRow(1, "zhang", "", 0),
        StringRow(1, "zhang", "zhang", 3),
        StringRow(1, "zhang", "Zhang", 3),
    ]
    assert len({fields.string_entry(*row[:3]) for row in rows}) == 3
