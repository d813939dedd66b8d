"""Whatever stands in the address of a search: a Bundle or an OperationOutcome, never a bug, never long work.

Time is the processor's, so that a loaded machine does not fail a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from direct import Running, running
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.rest.openapi.examples import ID

SLOWEST = 2.0
TYPES = (
    "Patient",
    "Observation",
    "Task",
    "Encounter",
    "Provenance",
    "Location",
    "ValueSet",
    "SearchParameter",
)
MODIFIERS = (
    *(
        "exact",
        "contains",
        "missing",
        "text",
        "not",
        "above",
        "below",
        "in",
        "not-in",
        "of-type",
        "identifier",
    ),
    *("iterate", "Patient", "Group", "banana"),
)
CONTROLS = (
    *(
        "_count",
        "_cursor",
        "_total",
        "_summary",
        "_elements",
        "_sort",
        "_include",
        "_revinclude",
        "_format",
        "_pretty",
    ),
    *(
        "_filter",
        "_text",
        "_content",
        "_list",
        "_has",
        "_type",
        "_query",
        "_contained",
        "_containedType",
        "_explain",
    ),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("fuzz"), TYPES) as found:
        yield found


def check(server: Running, path: str, query: str) -> int:
    """The status of an answer that is as it must be, by GET and as a form."""
    status, answer, seconds = server.ask("GET", path, query)
    assert status < 500, (path, query[:500], answer)
    kind = "Bundle" if status == 200 else "OperationOutcome"
    assert answer["resourceType"] == kind, (path, query[:500])
    assert seconds < SLOWEST, (path, query[:500])
    if kind == "OperationOutcome":
        assert all(issue["details"]["text"] for issue in answer["issue"])
    form = {"body": query.encode("latin-1"), "kind": "application/x-www-form-urlencoded"}
    posted, answer, _ = server.ask("POST", f"{path}/_search", **form) if query else (status, answer, 0)
    assert posted == status, (path, query[:500], answer)
    return status


# ── made by hypothesis ────────────────────────────────────────────────────────

WORDS = st.sampled_from(
    [
        "",
        "x",
        "周",
        "example",
        "1",
        "-1",
        "1e3",
        "true",
        "Patient/example",
        "http://x|y",
        "a|b|c",
        "$",
        "2026-02-30",
    ]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PREFIXED = st.tuples(
    st.sampled_from(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "zz"]), WORDS
).map("".join)
VALUES = st.lists(WORDS | TEXTS | PREFIXED, min_size=1, max_size=4).map(",".join)
BYTES = st.sampled_from(
    ["%00", "%ED%A0%80", "%C0%AF", "%FF", "%", "%zz", "%F4%90%80%80", "+", "%2C", "%5C", "%7C", "%0A"]
)


@st.composite
def names(draw: st.DrawFn, codes: tuple[str, ...]) -> str:
    code = draw(st.sampled_from(codes) | TEXTS)
    for _ in range(draw(st.integers(0, 3))):
        step = draw(st.sampled_from([":", ".", ":Patient.", ":banana.", "_has:"]))
        part = draw(st.sampled_from(MODIFIERS) if step == ":" else st.sampled_from(codes))
        if step == "_has:":
            code = f"_has:{draw(st.sampled_from(TYPES))}:{part}:{code}"
        else:
            code = f"{code}{step}{part}"
    return code


@st.composite
def pairs(draw: st.DrawFn, codes: tuple[str, ...]) -> str:
    name, value = draw(names(codes)), draw(VALUES)
    return f"{quote(name)}={quote(value)}{draw(BYTES | st.just(''))}"


def codes_of(server: Running, type: str) -> tuple[str, ...]:
    return (*sorted(server.app.server.parameters.parameters(type)), *CONTROLS)


def fuzz(server: Running, examples: int) -> set[int]:
    """The statuses of ``examples`` searches."""
    seen: set[int] = set()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def search(data: st.DataObject) -> None:
        type = data.draw(st.sampled_from(TYPES))
        query = "&".join(data.draw(st.lists(pairs(codes_of(server, type)), min_size=1, max_size=3)))
        place = data.draw(
            st.sampled_from([f"/fhir/{type}"] * 6 + ["/fhir", f"/fhir/Patient/{ID}/Observation"])
        )
        seen.add(check(server, place, query))

    search()
    return seen


def test_no_search_is_a_bug(server: Running) -> None:
    assert {200, 400} <= fuzz(server, 600)


@pytest.mark.long
def test_no_search_is_a_bug_long(server: Running) -> None:
    assert {200, 400} <= fuzz(server, 8_000)


def test_the_check_can_fail(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(type(server.app.server.store), "search", broken)
    with pytest.raises(AssertionError):
        check(server, "/fhir/Patient", "name=x")


# ── made by hand ──────────────────────────────────────────────────────────────

MANY = ",".join(str(number) for number in range(10_000))
HOSTILE = {
    "ten thousand codes": ("Observation", f"code={MANY}"),
    "ten thousand negated codes": ("Observation", f"code:not={MANY}"),
    "ten thousand ids": ("Patient", f"_id={MANY}"),
    "ten thousand dates": ("Observation", "date=" + ",".join(["ge2026-01-01"] * 10_000)),
    "ten thousand quantities": ("Observation", "value-quantity=" + ",".join(["5.4||mg"] * 10_000)),
    "ten thousand texts": ("Patient", "name:contains=" + quote(",".join(["周"] * 10_000))),
    "ten thousand parameters": ("Patient", "&".join(["name=x"] * 10_000)),
    "ten thousand unknown parameters": ("Patient", "&".join(f"x{number}=1" for number in range(10_000))),
    "five hundred unknown parameters": ("Patient", "&".join(f"x{number}=1" for number in range(500))),
    "as many criteria as there may be": ("Patient", "&".join(["name:contains=x"] * 100)),
    "as many quantities as there may be": ("Observation", "value-quantity=" + ",".join(["5.4||mg"] * 120)),
    "as many texts as there may be": ("Patient", "name=" + ",".join(f"x{number}" for number in range(620))),
    "as many dates as there may be": ("Observation", "date=" + ",".join(["ge2026-01-01"] * 1_200)),
    "as many negated texts": (
        "ValueSet",
        "url:below=" + ",".join(f"http://x{number}" for number in range(1_200)),
    ),
    "every type, many dates": (None, "&".join(["_lastUpdated=gt2026"] * 8)),
    "ten thousand sort keys": ("Patient", "_sort=" + ",".join(["name"] * 10_000)),
    "ten thousand includes": ("Patient", "&".join(["_include=Patient:organization"] * 10_000)),
    "ten thousand types": (None, "_type=" + ",".join(["Patient"] * 10_000)),
    "a chain of three hundred": ("Observation", "patient." + "link." * 300 + "name=x"),
    "a chain to oneself": ("Encounter", "part-of." * 300 + "status=x"),
    "a hundred _has": ("Patient", "_has:Observation:patient:" + "has-member." * 100 + "code=x"),
    "nested _has": ("Patient", "_has:Observation:patient:" * 100 + "code=x"),
    "a filter of parentheses": ("Patient", "_filter=" + "(" * 20_000 + "name eq x" + ")" * 20_000),
    "a filter of nots": ("Patient", "_filter=" + quote("not (" * 5_000 + "name eq x" + ")" * 5_000)),
    "a long filter": ("Patient", "_filter=" + quote(" or ".join(["name eq x"] * 5_000))),
    "a filter that does not end": ("Patient", "_filter=" + quote('name eq "' + "x" * 100_000)),
    "a filter of paths": ("Patient", "_filter=" + quote("organization." * 500 + "name eq x")),
    "a huge count": ("Patient", "_count=" + "9" * 5_000),
    "a negative count": ("Patient", "_count=-1"),
    "a huge number": ("RiskAssessment", "probability=1e99999"),
    "a tiny number": ("RiskAssessment", "probability=1e-99999"),
    "a long number": ("RiskAssessment", "probability=" + "9" * 100_000),
    "no number": ("Observation", "value-quantity=NaN,Infinity,-inf"),
    "a huge quantity": ("Observation", "value-quantity=gt1e999||mg"),
    "the year 0": ("Observation", "date=0000-00-00,0001,9999,9999-12-31T23:59:59.999999999999Z"),
    "a date before the zone": ("Observation", "date=0001-01-01T00:00:00%2B14:00"),
    "the end of time": ("Observation", "date=ap9999-12-31"),
    "a null": ("Patient", "name=%00&_id=%00&identifier=%00|%00"),
    "a null in a name": ("Patient", "na%00me=x"),
    "a lone surrogate": ("Patient", "name=%ED%A0%80"),
    "beyond Unicode": ("Patient", "name=%F4%90%80%80"),
    "an overlong slash": ("Patient", "name=%C0%AF"),
    "half an escape": ("Patient", "name=%E5%91"),
    "no escape": ("Patient", "name=%"),
    "rare characters": ("Patient", f"name={quote('𠮷𪚥' * 500)}"),
    "combining characters": ("Patient", f"name:contains={quote('é' * 20_000)}"),
    "a ligature that grows": ("Patient", f"name={quote('ﷺ' * 5_000)}"),
    "near nowhere": ("Location", "near=NaN|inf|1e999|km"),
    "near everything": ("Location", "near=90|180|99999999999|km"),
    "a composite of nothing": ("Observation", "code-value-quantity=$,$$,|$|"),
    "elements without end": ("Patient", "_elements=" + ",".join(["name"] * 20_000)),
    "a damaged cursor": ("Patient", "_cursor=AAAAAAAAAAAAAAAAAAAA"),
    "a huge cursor": ("Patient", "_cursor=" + "A" * 200_000),
    "an own cursor": ("SearchParameter", "_cursor=own.99999999&_count=1000"),
    "a reference to everything": ("Observation", "subject=" + "/".join(["Patient/x"] * 2_000)),
    "a canonical without end": ("ValueSet", "url=" + "http://x|" * 5_000),
    "uri above": ("ValueSet", "url:above=" + "http://x" + "/a" * 5_000),
    "text without end": ("Patient", "_content=" + quote("周 " * 5_000)),
    "text of operators": ("Patient", "_text=" + quote('"(NOT OR AND * ^ : NEAR')),
    "everything included": ("Patient", "_include=*&_revinclude=*&_include:iterate=*&_revinclude:iterate=*"),
    "the same twice": ("Patient", "_count=1&_count=2"),
    "no name": ("Patient", "=x&=&&&"),
    "only a name": ("Patient", "name"),
    "backslashes": ("Patient", "name=" + quote("\\" * 10_001)),
    "a compartment of everything": ("Patient/example/*", "_sort=-_lastUpdated&_total=accurate"),
    "a compartment of nobody": ("Patient/../Observation", "code=x"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_search_is_answered(server: Running, case: str) -> None:
    type, query = HOSTILE[case]
    status, answer, seconds = server.ask("GET", f"/fhir/{type}" if type else "/fhir", query)
    assert status < 500, answer
    assert answer["resourceType"] == ("Bundle" if status == 200 else "OperationOutcome")
    assert len(orjson.dumps(answer)) < 2_000_000
    assert seconds < SLOWEST
