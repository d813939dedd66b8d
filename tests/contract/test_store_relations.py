"""What the port promises of criteria about other resources, and of their combinations.

Each row of ROWS is a question and its answer; a few hundred random ones are decided by the literal reading of
``search.match`` beside the store.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from contract_kit import (
    all_ids,
    clause,
    column,
    day,
    deletion,
    extract,
    ids,
    parameter,
    put,
    query,
    record,
    reference,
    string,
    token,
)

from fhir_server.search.match import Indexed, matches
from fhir_server.search.query import AllOf, AnyOf, Chain, Criterion, Has, Not
from fhir_server.search.related import question, related_among
from fhir_server.store import Record, Store

PATIENT, OBSERVATION, ENCOUNTER, GROUP = "Patient", "Observation", "Encounter", "Group"

STOCK = [
    record(PATIENT, "p1", name=["张伟"], status=[["", "male"]], subject=[["Organization", "h1"]]),
    record(PATIENT, "p2", name=["李娜"], status=[["", "female"]], subject=[["Organization", "h2"]]),
    record(PATIENT, "p3", name=["张敏"], status=[["", "female"]]),
    record("Device", "p1", name=["张"]),
    record("Organization", "h1", name=["晨溪县人民医院"]),
    record("Organization", "h2", name=["云栖镇卫生院"]),
    record(OBSERVATION, "o1", subject=[["Patient", "p1"]], code=[["", "hb"]], date=[day(1)]),
    record(OBSERVATION, "o2", subject=[["Patient", "p2"]], code=[["", "hb"]], date=[day(2)]),
    record(OBSERVATION, "o3", subject=[["Patient", "p2"]], code=[["", "gl"]], date=[day(3)]),
    record(OBSERVATION, "o4", subject=[["Device", "p1"]], code=[["", "hb"]], date=[day(4)]),
    record(OBSERVATION, "o5", code=[["", "hb"]], date=[day(5)]),
    record(OBSERVATION, "o6", subject=[["", "http://far/Patient/p1"]], code=[["", "hb"]], date=[day(6)]),
    record(OBSERVATION, "o7", subject=[["Patient", "gone"]], code=[["", "hb"]], date=[day(7)]),
    record(OBSERVATION, "o8", subject=[["Patient", "p1/_history/1"], ["Patient", "p1"]], code=[["", "gl"]],
           date=[day(8)]),
    record(GROUP, "g1", subject=[["Patient", "p1"], ["Patient", "p3"]]),
    record(GROUP, "g2", subject=[["Patient", "p2"], ["Patient", "p3"], ["Device", "p1"]]),
]  # fmt: skip


def subject(type: str, target: str | None = None):
    return parameter(type, "subject", target=target)


def name(type: str, *texts: str, modifier: str | None = None):
    return clause(parameter(type, "name"), *map(string, texts), modifier=modifier)


def code(*codes: str, modifier: str | None = None):
    return clause(parameter(OBSERVATION, "code"), *map(token, codes), modifier=modifier)


def status(value: str):
    return clause(parameter(PATIENT, "status"), token(value))


def missing(type: str, member: str, value: bool):
    return clause(parameter(type, member), value, modifier="missing")


def of_patient(criterion: Criterion) -> Chain:
    return Chain(subject(OBSERVATION), PATIENT, criterion)


def of_organization(criterion: Criterion) -> Chain:
    return Chain(subject(PATIENT), "Organization", criterion)


def observed(criterion: Criterion) -> Has:
    return Has(OBSERVATION, subject(OBSERVATION), criterion)


def grouped(criterion: Criterion) -> Has:
    return Has(GROUP, subject(GROUP, "Patient"), criterion)


def by_id(type: str, *names: str):
    return clause(column(type, "id"), *map(token, names))


ROWS: list[tuple[str, str, Sequence[Criterion], set[str]]] = [
    ("chain", OBSERVATION, [of_patient(name(PATIENT, "张"))], {"o1", "o8"}),
    ("chain to another type", OBSERVATION, [Chain(subject(OBSERVATION), "Device", name("Device", "张"))], {"o4"}),
    ("chain by a restricted parameter",
     OBSERVATION, [Chain(subject(OBSERVATION, "Patient"), PATIENT, status("female"))], {"o2", "o3"}),
    ("chain to nobody", OBSERVATION, [of_patient(name(PATIENT, "王"))], set()),
    ("chain to a type never kept", OBSERVATION, [Chain(subject(OBSERVATION), "Group2", name("Group2", "王"))], set()),
    ("chain to an id", OBSERVATION, [of_patient(by_id(PATIENT, "p2"))], {"o2", "o3"}),
    ("chain and a modifier", OBSERVATION, [of_patient(name(PATIENT, "张伟", modifier="exact"))], {"o1", "o8"}),
    ("chain to what is missing", OBSERVATION, [of_patient(missing(PATIENT, "subject", True))], set()),
    ("chain to what is there", OBSERVATION, [of_patient(missing(PATIENT, "name", False))], {"o1", "o2", "o3", "o8"}),
    ("chain and a clause", OBSERVATION, [of_patient(name(PATIENT, "张")), code("hb")], {"o1"}),
    ("two chains", OBSERVATION, [of_patient(name(PATIENT, "张")), of_patient(status("female"))], set()),
    ("two links", OBSERVATION, [of_patient(of_organization(name("Organization", "云栖")))], {"o2", "o3"}),
    ("not a chain", OBSERVATION, [Not(of_patient(name(PATIENT, "张")))], {"o2", "o3", "o4", "o5", "o6", "o7"}),
    ("chain of two types", OBSERVATION,
     [AnyOf((of_patient(name(PATIENT, "张")), Chain(subject(OBSERVATION), "Device", name("Device", "张"))))],
     {"o1", "o4", "o8"}),
    ("has", PATIENT, [observed(code("gl"))], {"p1", "p2"}),
    ("has in a restricted parameter", PATIENT, [grouped(by_id(GROUP, "g1"))], {"p1", "p3"}),
    ("has of another type of target", "Device", [observed(code("hb"))], {"p1"}),
    ("has nothing", PATIENT, [observed(code("xx"))], set()),
    ("not has", PATIENT, [Not(observed(code("hb")))], {"p3"}),
    ("has and has", PATIENT, [observed(code("gl")), grouped(by_id(GROUP, "g2"))], {"p2"}),
    ("has any", PATIENT, [Has(OBSERVATION, subject(OBSERVATION), missing(OBSERVATION, "code", False))], {"p1", "p2"}),
    ("has of a type never kept", PATIENT, [Has("Claim", subject("Claim"), by_id("Claim", "c"))], set()),
    ("has inside has", "Organization", [Has(PATIENT, subject(PATIENT), observed(code("gl")))], {"h1", "h2"}),
    ("has inside has, one only",
     "Organization", [Has(PATIENT, subject(PATIENT), grouped(by_id(GROUP, "g1")))], {"h1"}),
    ("chain inside has", GROUP, [Has(OBSERVATION, subject(OBSERVATION), of_patient(name(PATIENT, "张")))], set()),
    ("chain inside has, back to itself", PATIENT, [observed(of_patient(name(PATIENT, "李")))], {"p2"}),
    ("has inside a chain", OBSERVATION, [of_patient(grouped(by_id(GROUP, "g1")))], {"o1", "o8"}),
    ("chain, has, chain", OBSERVATION,
     [of_patient(observed(AllOf((code("gl"), of_patient(of_organization(name("Organization", "云")))))))],
     {"o2", "o3"}),
    ("any of clauses", OBSERVATION, [AnyOf((code("gl"), by_id(OBSERVATION, "o5")))], {"o3", "o5", "o8"}),
    ("any of nothing", OBSERVATION, [AnyOf(())], set()),
    ("all of nothing", GROUP, [AllOf(())], {"g1", "g2"}),
    ("any with what cannot find", OBSERVATION, [AnyOf((code("hb", modifier="not"), by_id(OBSERVATION, "o1")))],
     {"o1", "o3", "o8"}),
    ("all of", OBSERVATION, [AllOf((code("gl"), of_patient(name(PATIENT, "张"))))], {"o8"}),
    ("any of all of", OBSERVATION,
     [AnyOf((AllOf((code("hb"), of_patient(status("female")))), AllOf((code("gl"), of_patient(status("male"))))))],
     {"o2", "o8"}),
    ("not any of", OBSERVATION, [Not(AnyOf((code("hb"), by_id(OBSERVATION, "o3"))))], {"o8"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("type", "criteria", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
async def test_what_a_criterion_finds(
    store: Store, type: str, criteria: Sequence[Criterion], expected: set[str]
) -> None:
    await put(store, *STOCK)
    wanted = query(type, *criteria, count=100)
    assert set(await ids(store, wanted)) == expected
    assert await store.count(wanted) == len(expected)
    assert set(_literal(wanted, STOCK)) == expected
    by_date = replace(wanted, sort=query(type, sort=[(parameter(type, "date"), True)]).sort, count=1)
    assert set(await all_ids(store, by_date)) == expected
    assert set(await all_ids(store, replace(wanted, count=1))) == expected


async def test_a_relation_follows_changes_and_deletions(store: Store) -> None:
    await put(store, *STOCK)
    chained, having = (
        query(OBSERVATION, of_patient(name(PATIENT, "李"))),
        query(PATIENT, observed(code("gl"))),
    )
    assert (await ids(store, chained), await ids(store, having)) == (["o3", "o2"], ["p2", "p1"])
    await put(store, record(PATIENT, "p2", version=2, name=["王娜"]), deletion(OBSERVATION, "o8", 2))
    assert (await ids(store, chained), await ids(store, having)) == ([], ["p2"])
    await put(store, deletion(PATIENT, "p2", 3))
    assert await ids(store, having) == []
    assert await ids(store, query(OBSERVATION, of_patient(missing(PATIENT, "name", False)))) == ["o1"]


async def test_the_question_to_a_store_decides_a_relation(store: Store) -> None:
    await put(store, *STOCK)
    for _, type, criteria, _ in ROWS:
        for relation in criteria:
            if isinstance(relation, Chain | Has):
                for each in (_indexed(one) for one in STOCK if one.type == type):
                    found = await store.count(question(relation, each))
                    assert bool(found) is related_among(map(_indexed, STOCK))(relation, each)


@pytest.mark.parametrize("seed", range(6))
async def test_random_trees_of_criteria_are_answered_literally(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    stock = [_random_record(chance, number) for number in range(60)]
    await put(store, *stock)
    found = 0
    for _ in range(60):
        type = chance.choice(TYPES)
        wanted = query(
            type, *[_random_criterion(chance, type, 3) for _ in range(chance.choice((1, 1, 2)))], count=100
        )
        answer = set(await ids(store, wanted))
        found += len(answer)
        assert answer == set(_literal(wanted, stock)), wanted.clauses
        assert await store.count(wanted) == len(answer)
    assert found


TYPES = ("Patient", "Observation", "Group")


def _random_record(chance: random.Random, number: int) -> Record:
    subjects = [[chance.choice(TYPES), f"r{chance.randrange(60)}"] for _ in range(chance.randrange(3))]
    members = {
        "code": [["", chance.choice("abc")]],
        "name": [chance.choice(("张伟", "张", "li", "wang"))],
        "date": [day(chance.randrange(9))],
    }
    some = {member: value for member, value in members.items() if chance.random() < 0.8}
    if subjects:
        some["subject"] = subjects
    return record(chance.choice(TYPES), f"r{number}", **some)


def _random_criterion(chance: random.Random, type: str, depth: int) -> Criterion:
    kind = chance.randrange(9 if depth else 4)
    other = chance.choice(TYPES)
    if kind < 4:
        return _random_leaf(chance, type, kind)
    inner = [_random_criterion(chance, type, depth - 1) for _ in range(chance.choice((1, 2, 2, 3)))]
    if kind == 4:
        return Not(inner[0])
    if kind == 5:
        return AnyOf(tuple(inner))
    if kind == 6:
        return AllOf(tuple(inner))
    far = _random_criterion(chance, other, depth - 1)
    if kind == 7:
        return Chain(subject(type, chance.choice((None, other))), other, far)
    return Has(other, subject(other, chance.choice((None, type))), far)


def _random_leaf(chance: random.Random, type: str, kind: int) -> Criterion:
    if kind == 0:
        return clause(parameter(type, "code"), *map(token, chance.sample("abc", chance.choice((1, 2)))))
    if kind == 1:
        return name(type, chance.choice(("张", "l", "王")))
    if kind == 2:
        return missing(type, chance.choice(("code", "subject")), chance.random() < 0.5)
    return clause(subject(type), reference(f"r{chance.randrange(60)}", chance.choice((None, "Patient"))))


def _indexed(each: Record) -> Indexed:
    return Indexed(each.type, each.id, each.updated, extract(each.type, each.content))


def _literal(wanted, stock: Sequence[Record]) -> list[str]:
    known = [_indexed(each) for each in stock]
    related = related_among(known)
    return [
        each.id
        for each in known
        if each.type == wanted.type and matches(wanted, each.values, each.id, each.updated, related)
    ]


def test_a_relation_is_not_decided_without_the_related_resources() -> None:
    values = extract(OBSERVATION, b'{"subject": [["Patient", "p1"]]}')
    with pytest.raises(LookupError, match="subject"):
        matches(query(OBSERVATION, of_patient(name(PATIENT, "张"))), values, "o", 0)


@pytest.mark.parametrize(
    "wrap", [lambda c: Chain(subject(GROUP), GROUP, c), lambda c: Has(GROUP, subject(GROUP), c)]
)
async def test_relations_may_be_as_deep_as_anybody_asks(store: Store, wrap) -> None:
    ring = [record(GROUP, f"g{n}", subject=[["Group", f"g{(n + 1) % 5}"]], name=["a"]) for n in range(5)]
    await put(store, *ring)
    criterion: Criterion = name(GROUP, "a")
    for _ in range(40):
        criterion = wrap(criterion)
    assert await store.count(query(GROUP, criterion)) == 5
