"""What the port promises of searches: each row of MATCHES says which resources a query finds."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from contract_kit import (
    DAY,
    START,
    all_ids,
    clause,
    column,
    composite,
    date,
    day,
    deletion,
    ids,
    near,
    number,
    pair,
    parameter,
    put,
    quantity,
    query,
    record,
    reference,
    string,
    token,
    uri,
)
from msgspec.structs import replace as change

from fhir_server.errors import InvalidSearch
from fhir_server.search.query import Clause
from fhir_server.store import Store

T = "Observation"
LOINC, OTHER, UCUM = "http://loinc.org", "http://other", "http://unitsofmeasure.org"


def on(*members: str, modifier: str | None = None, **more: Any) -> Any:
    """A function of values that makes a clause."""
    return lambda *values: clause(parameter(T, *members, **more), *values, modifier=modifier)


STOCK = [
    record(T, "hb", code=[[LOINC, "718-7"]], status=[["", "final"]], subject=[["Patient", "p1"]], date=[day(1)],
           value=[[120, UCUM, "g/L"]], **{"code-value": [[[LOINC, "718-7"], [120, UCUM, "g/L"]]]}),
    record(T, "hb2", code=[[LOINC, "718-7"], [OTHER, "HB"]], status=[["", "final"]], subject=[["Patient", "p2"]],
           date=[day(2)], value=[[90, UCUM, "g/L"]], **{"code-value": [[[LOINC, "718-7"], [90, UCUM, "g/L"]]]}),
    record(T, "gl", code=[[OTHER, "718-7"]], status=[["", "preliminary"]], subject=[["Patient", "p1"]],
           date=[day(1, 10)], issued=[day(30)], value=[[5.4, UCUM, "mmol/L"], [5.4, "", "毫摩尔"]],
           **{"code-value": [[[OTHER, "718-7"], [5.4, UCUM, "mmol/L"]], [[LOINC, "1-1"], [120, UCUM, "g/L"]]]}),
    record(T, "bare", subject=[["Device", "p1"]], probability=[0.5]),
    record(T, "open", date=[[START + 5 * DAY, 2**62]], subject=[["", "http://far/Patient/p1"]],
           status=[["sys", "final"]], probability=[0.25, 0.75]),
    record(T, "year", date=[day(-10, 900)], probability=[[0.2, 0.4, "", ""]], value=[[-inf, 100, UCUM, "g/L"]]),
    record(T, "names", name=["Zoë Keller", "张三丰", "pinyin:zhangsanfeng"], alias=["欧阳 Wei"]),
    record(T, "more names", name=["ZOE", "李四", "三丰堂药店"], alias=["zoë"], url=["http://a/b"]),
    record(T, "urls", url=["http://a/b", "http://a/b/c"], near=[[30.0, 120.0]]),
    record(T, "far", url=["http://a/bc"], near=[[30.5, 120.0], [-10.0, 179.9]]),
]  # fmt: skip

CODE, STATUS, SUBJECT, URL = on("code"), on("status"), on("subject"), on("url")
NAME, EITHER = on("name"), on("name", "alias")
DATED, PROBABILITY, VALUE = on("date"), on("probability"), on("value")
PAIRED = lambda *values: clause(composite(T), *values)  # noqa: E731
S, D = START, DAY
DATED_ONES = {"hb", "hb2", "gl", "open", "year"}
ALL = {each.id for each in STOCK}


def missing(member: str, value: bool, **more: Any) -> Clause:
    return on(member, modifier="missing", **more)(value)


MATCHES: list[tuple[str, tuple[Clause, ...], set[str]]] = [
    # token
    ("code of any system", (CODE(token("718-7")),), {"hb", "hb2", "gl"}),
    ("system|code", (CODE(token("718-7", LOINC)),), {"hb", "hb2"}),
    ("system|code, never kept system", (CODE(token("718-7", "http://never")),), set()),
    ("|code", (STATUS(token("final", "")),), {"hb", "hb2"}),
    ("system|", (CODE(token(None, OTHER)),), {"hb2", "gl"}),
    ("system| as a second clause", (DATED(date("ge", S, S + D)), CODE(token(None, OTHER))), {"hb2", "gl"}),
    ("either code", (CODE(token("718-7", OTHER), token("HB")),), {"hb2", "gl"}),
    ("many codes",
     (CODE(*[token(str(place)) for place in range(40)], token("HB"), token("718-7", OTHER)),), {"hb2", "gl"}),
    ("many codes as a second clause",
     (SUBJECT(reference("p1", "Patient")),
      CODE(*[token(str(place), LOINC) for place in range(1200)], token("718-7", LOINC))), {"hb"}),
    ("both codes", (CODE(token("718-7")), CODE(token("HB"))), {"hb2"}),
    ("two keys", (on("code", "status")(token("final")),), {"hb", "hb2", "open"}),
    ("restricted system", (on("status", system="sys")(token("final")),), {"open"}),
    ("restricted system, another asked for", (on("status", system="sys")(token("final", "")),), set()),
    ("not", (on("status", modifier="not")(token("final")),), ALL - {"hb", "hb2", "open"}),
    ("not either",
     (on("status", modifier="not")(token("final"), token("preliminary")),), ALL - {"hb", "hb2", "gl", "open"}),
    ("code and not", (CODE(token("718-7")), on("status", modifier="not")(token("final"))), {"gl"}),
    # reference
    ("id of any type", (SUBJECT(reference("p1")),), {"hb", "gl", "bare"}),
    ("Type/id", (SUBJECT(reference("p1", "Patient")),), {"hb", "gl"}),
    ("a type never kept", (SUBJECT(reference("p1", "Group")),), set()),
    ("a URL", (SUBJECT(reference("http://far/Patient/p1", "")),), {"open"}),
    ("restricted target", (on("subject", target="Patient")(reference("p1")),), {"hb", "gl"}),
    ("restricted target, typed",
     (on("subject", target="Patient")(reference("p1", "Patient")),), {"hb", "gl"}),
    ("restricted target, another asked for",
     (on("subject", target="Patient")(reference("p1", "Device")),), set()),
    ("several subjects",
     (SUBJECT(reference("p1", "Patient"), reference("p2", "Patient")),), {"hb", "hb2", "gl"}),
    ("patient and code", (SUBJECT(reference("p1", "Patient")), CODE(token("718-7", LOINC))), {"hb"}),
    # uri
    ("uri", (URL(uri("http://a/b")),), {"more names", "urls"}),
    ("uri, case counts", (URL(uri("HTTP://A/b")),), set()),
    # string
    ("starts with, folded", (NAME(string("zoe")),), {"names", "more names"}),
    ("starts with, not inside", (NAME(string("keller")),), set()),
    ("starts with, Chinese", (NAME(string("张三")),), {"names"}),
    ("starts with, pinyin", (NAME(string("zhangsan")),), {"names"}),
    ("two keys, string", (EITHER(string("欧")),), {"names"}),
    ("several strings", (NAME(string("张"), string("李")),), {"names", "more names"}),
    ("many strings", (NAME(*[string(f"x{place}") for place in range(520)], string("张")),), {"names"}),
    ("many strings as a second clause",
     (URL(uri("http://a/b")), NAME(*[string(f"x{place}") for place in range(520)], string("李"))), {"more names"}),
    ("many dates",
     (DATED(*[date("ge", S + place * D, S + (place + 1) * D) for place in range(900, 1080)]),), {"open"}),
    ("exact", (on("name", modifier="exact")(string("ZOE")),), {"more names"}),
    ("exact, equal to its normal form", (on("name", modifier="exact")(string("李四")),), {"more names"}),
    ("exact, other case", (on("name", modifier="exact")(string("zoe")),), set()),
    ("exact, never pinyin", (on("name", modifier="exact")(string("zhangsanfeng")),), set()),
    ("contains, Latin", (on("name", modifier="contains")(string("KELL")),), {"names"}),
    ("contains, never pinyin", (on("name", modifier="contains")(string("sanfeng")),), set()),
    ("contains, one character", (on("name", modifier="contains")(string("丰")),), {"names", "more names"}),
    ("contains, last character", (on("name", modifier="contains")(string("店")),), {"more names"}),
    ("contains, two characters", (on("name", modifier="contains")(string("三丰")),), {"names", "more names"}),
    ("contains, three characters", (on("name", modifier="contains")(string("三丰堂")),), {"more names"}),
    ("contains, pairs without the whole", (on("name", modifier="contains")(string("张三丰堂")),), set()),
    ("contains, mixed", (on("name", "alias", modifier="contains")(string("阳 w")),), {"names"}),
    ("contains as a second clause",
     (NAME(string("zoe")), on("name", modifier="contains")(string("四"))), {"more names"}),
    ("quotes are letters", (NAME(string("' OR 1=1 --")), URL(uri("'; DROP TABLE term; --"))), set()),
    ("a wild card is a letter", (NAME(string("%")),), set()),
    # date: the value is day 1
    ("date eq", (DATED(date("eq", S + D, S + 2 * D)),), {"hb"}),
    ("date eq, a month", (DATED(date("eq", S, S + 30 * D)),), {"hb", "hb2", "gl"}),
    ("date ne", (DATED(date("ne", S + D, S + 2 * D)),), {"hb2", "gl", "open", "year"}),
    ("date gt", (DATED(date("gt", S + D, S + 2 * D)),), {"hb2", "gl", "open", "year"}),
    ("date gt, far", (DATED(date("gt", S + 2000 * D, S + 2001 * D)),), {"open"}),
    ("date ge", (DATED(date("ge", S + D, S + 2 * D)),), DATED_ONES),
    ("date ge, later", (DATED(date("ge", S + 2 * D, S + 3 * D)),), {"hb2", "gl", "open", "year"}),
    ("date lt", (DATED(date("lt", S + 2 * D, S + 3 * D)),), {"hb", "gl", "year"}),
    ("date le", (DATED(date("le", S + 2 * D, S + 3 * D)),), {"hb", "hb2", "gl", "year"}),
    ("date sa", (DATED(date("sa", S + D, S + 2 * D)),), {"hb2", "open"}),
    ("date eb", (DATED(date("eb", S + 3 * D, S + 4 * D)),), {"hb", "hb2"}),
    ("date ap", (DATED(date("ap", S + 6 * D, S + 7 * D)),), {"gl", "open", "year"}),
    ("between two dates",
     (DATED(date("ge", S + 2 * D, S + 3 * D)), DATED(date("lt", S + 3 * D, S + 4 * D))), {"hb2", "gl", "year"}),
    ("either date", (DATED(date("eq", S + D, S + 2 * D), date("eq", S + 2 * D, S + 3 * D)),), {"hb", "hb2"}),
    ("a date of no order", (on("issued")(date("eq", S + 30 * D, S + 31 * D)),), {"gl"}),
    ("two dates, one of another arm",
     (on("issued")(date("le", S + 30 * D, S + 31 * D)), CODE(token("718-7"))), {"gl"}),
    ("code and date", (CODE(token("718-7")), DATED(date("gt", S + D, S + 2 * D))), {"hb2", "gl"}),
    ("either key, dates", (on("date", "issued")(date("eq", S + 30 * D, S + 31 * D)),), {"gl"}),
    # number
    ("number eq, as precise as typed", (PROBABILITY(number("eq", 0.5, 0.05)),), {"bare"}),
    ("number eq, less precise", (PROBABILITY(number("eq", 1, 0.5)),), {"bare", "open"}),
    ("number ne", (PROBABILITY(number("ne", 0.5, 0.05)),), {"open", "year"}),
    ("number gt", (PROBABILITY(number("gt", 0.5)),), {"open"}),
    ("number ge", (PROBABILITY(number("ge", 0.5)),), {"bare", "open"}),
    ("number lt", (PROBABILITY(number("lt", 0.25)),), {"year"}),
    ("number le", (PROBABILITY(number("le", 0.25)),), {"open", "year"}),
    ("number sa", (PROBABILITY(number("sa", 0.25)),), {"bare", "open"}),
    ("number eb", (PROBABILITY(number("eb", 0.5)),), {"open", "year"}),
    ("number ap", (PROBABILITY(number("ap", 0.3, 0.06)),), {"open", "year"}),
    ("two numbers, two values", (PROBABILITY(number("lt", 0.3)), PROBABILITY(number("gt", 0.7))), {"open"}),
    # quantity
    ("quantity of any unit", (VALUE(quantity("gt", 5)),), {"hb", "hb2", "gl", "year"}),
    ("quantity, unit", (VALUE(quantity("ge", 90, None, "g/L")),), {"hb", "hb2", "year"}),
    ("quantity, system and code", (VALUE(quantity("gt", 100, UCUM, "g/L")),), {"hb"}),
    ("quantity, open below", (VALUE(quantity("lt", -5, UCUM, "g/L")),), {"year"}),
    ("quantity, another system", (VALUE(quantity("gt", 1, OTHER, "g/L")),), set()),
    ("quantity, unit as written", (VALUE(quantity("gt", 1, None, "毫摩尔")),), {"gl"}),
    ("quantity as a second clause", (CODE(token("718-7")), VALUE(quantity("le", 90, UCUM, "g/L"))), {"hb2"}),
    # composite
    ("composite", (PAIRED(pair(token("718-7", LOINC), quantity("gt", 100))),), {"hb"}),
    ("composite, code only", (PAIRED(pair(token("718-7"), quantity("lt", 100))),), {"hb2", "gl"}),
    ("composite, parts of different elements",
     (PAIRED(pair(token("718-7", OTHER), quantity("gt", 100))),), set()),
    ("composite, system only",
     (PAIRED(pair(token(None, LOINC), quantity("gt", 100, UCUM, "g/L"))),), {"hb", "gl"}),
    ("composite, either",
     (PAIRED(pair(token("1-1"), quantity("eq", 120)), pair(token("718-7"), quantity("lt", 10))),), {"gl"}),
    ("composite as a second clause",
     (SUBJECT(reference("p2", "Patient")), PAIRED(pair(token("718-7"), quantity("gt", 1)))), {"hb2"}),
    ("composite, system only, as a second clause",
     (SUBJECT(reference("p1", "Patient")), PAIRED(pair(token(None, LOINC), quantity("gt", 1)))), {"hb", "gl"}),
    # near
    ("near", (on("near")(near(30.0, 120.0, 10)),), {"urls"}),
    ("near, wider", (on("near")(near(30.0, 120.0, 56)),), {"urls", "far"}),
    ("near, over the date line", (on("near")(near(-10.0, -179.9, 30)),), {"far"}),
    ("near, either", (on("near")(near(0, 0, 1), near(30.0, 120.0, 10)),), {"urls"}),
    ("near as a second clause", (URL(uri("http://a/b")), on("near")(near(30.0, 120.0, 100))), {"urls"}),
    # missing
    ("missing", (missing("subject", True),), {"year", "names", "more names", "urls", "far"}),
    ("not missing", (missing("subject", False),), {"hb", "hb2", "gl", "bare", "open"}),
    ("missing, string", (missing("name", False),), {"names", "more names"}),
    ("missing, composite", (missing("code-value", False),), {"hb", "hb2", "gl"}),
    ("missing, of a target", (missing("subject", True, target="Device"),), ALL - {"bare"}),
    ("not missing, of a system", (missing("status", False, system="sys"),), {"open"}),
    ("missing and code", (CODE(token("718-7")), missing("issued", True)), {"hb", "hb2"}),
    ("missing of what nobody has", (on("near", modifier="missing")(False), missing("code", False)), set()),
    # columns
    ("_id", (clause(column(T, "id"), token("hb"), token("gl"), token("nobody")),), {"hb", "gl"}),
    ("_id, case counts", (clause(column(T, "id"), token("HB")),), set()),
    ("_id and code",
     (clause(column(T, "id"), token("hb"), token("gl")), CODE(token("718-7", LOINC))), {"hb"}),
    ("_lastUpdated", (clause(column(T, "updated"), date("ge", START + 1, START + 2)),), ALL),
    ("_lastUpdated, later", (clause(column(T, "updated"), date("gt", START + 1, START + 2)),), set()),
    ("_lastUpdated, eq", (clause(column(T, "updated"), date("eq", START, START + 1000)),), ALL),
    ("_lastUpdated as a second clause",
     (CODE(token("718-7")), clause(column(T, "updated"), date("lt", START + 1, START + 2))), set()),
    # nothing asked
    ("everything", (), ALL),
]  # fmt: skip


@pytest.mark.parametrize("swapped", [False, True], ids=["", "swapped"])
async def test_search_finds_what_matches(store: Store, swapped: bool) -> None:
    """All rows in one database; each by search, by count, by pages of two, and inside a transaction."""
    await put(store, *STOCK, record("Patient", "hb", code=[[LOINC, "718-7"]], name=["zoe"]))
    wrong = []
    for title, clauses, expected in MATCHES:
        wanted = query(T, *(reversed(clauses) if swapped else clauses), count=100, total="accurate")
        page = await store.search(wanted)
        found = [each.id for each in page.records]
        paged = await all_ids(store, replace(wanted, count=2))
        async with store.transaction() as transaction:
            inside = await ids(transaction, wanted)
        answers = [found, paged, inside]
        if any(sorted(answer) != sorted(expected) for answer in answers) or page.total != len(expected):
            wrong.append((title, answers, page.total, expected))
    assert not wrong


async def test_search_forgets_what_was_changed_or_deleted(store: Store) -> None:
    """Every row again, after each resource was first something else, and with as many deleted ones."""
    await put(store, *(change(each, content=STOCK[place - 1].content) for place, each in enumerate(STOCK)))
    await put(store, *(change(each, version=2) for each in STOCK))
    await put(store, *(change(each, id=f"{each.id}!") for each in STOCK))
    await put(store, *(deletion(T, f"{each.id}!", 2) for each in STOCK))
    same_time = {"_lastUpdated", "_lastUpdated, later", "_lastUpdated, eq", "_lastUpdated as a second clause"}
    wrong = []
    for title, clauses, expected in MATCHES:
        found = await ids(store, query(T, *clauses, count=100))
        if title not in same_time and sorted(found) != sorted(expected):
            wrong.append((title, found, expected))
    assert not wrong


async def test_the_table_can_fail(store: Store) -> None:
    await put(store, *STOCK)
    assert await ids(store, query(T, CODE(token("718-7")), count=100)) != await ids(
        store, query(T, count=100)
    )


@pytest.mark.parametrize(
    ("member", "modifier"), [("code", "exact"), ("name", "below"), ("date", "contains"), ("subject", "above")]
)
async def test_a_modifier_that_is_not_known_is_refused(store: Store, member: str, modifier: str) -> None:
    with pytest.raises(InvalidSearch) as caught:
        await store.search(query(T, on(member, modifier=modifier)(token("x"))))
    assert caught.value.issues[0].code == "not-supported"
    assert modifier in caught.value.issues[0].text


async def test_count_pays_no_heed_to_pages(store: Store) -> None:
    await put(store, *STOCK)
    page = await store.search(query(T, CODE(token("718-7")), count=0, total="accurate"))
    assert (page.records, page.next, page.total) == ((), None, 3)
    assert await store.count(query(T, CODE(token("718-7")), count=1)) == 3
    assert await store.count(query(T, count=1)) == len(STOCK)
    assert (await store.search(query(T))).total is None


async def test_searching_a_type_never_kept_finds_nothing(store: Store) -> None:
    assert await ids(store, query("Device", clause(parameter("Device", "code"), token("1")))) == []
    assert await store.count(query("Device")) == 0
