"""The grammar of ``_filter``: how it is read, what its faults say, and its limits."""

from __future__ import annotations

import pytest

from fhir_server.errors import InvalidSearch
from fhir_server.search.clauses import AllOf, AnyOf, Chain, Clause, Criterion, Not
from fhir_server.search.contained import outside_only
from fhir_server.search.filter_syntax import DEEPEST, LONGEST, MOST_COMPARISONS


def _said(criterion: Criterion) -> str:
    criterion = outside_only(criterion)
    match criterion:
        case Clause(parameter, modifier, _):
            return f"{parameter.code}:{modifier}" if modifier else parameter.code
        case Chain(parameter, type, inner):
            return f"{parameter.code}→{type}({_said(inner)})"
        case Not(inner):
            return f"not {_said(inner)}"
        case AnyOf(criteria):
            return "(" + " or ".join(map(_said, criteria)) + ")"
        case AllOf(criteria):
            return "(" + " and ".join(map(_said, criteria)) + ")"
    raise AssertionError(criterion)


READ = [
    ("Patient", 'name co "pet"', "name:contains"),
    ("Patient", 'given eq "peter" and birthdate ge 2014-10-10', "(given:equals and birthdate)"),
    ("Patient", "gender eq a or gender eq b and active eq true", "((gender or gender) and active)"),
    ("Patient", "gender eq a or (gender eq b and active eq true)", "(gender or (gender and active))"),
    ("Patient", "  not  (  gender eq a  )  ", "not gender"),
    ("Observation", "code eq http://loinc.org|1234-5", "code"),
    ("Observation", 'subject:Patient.name co "pet"', "subject→Patient(name:contains)"),
    ("Observation", 'subject.name co "pet"', "(subject→Location(name:contains) or subject→Patient(name:contains))"),
    ("Observation", "patient.organization.name sw x", "patient→Patient(organization→Organization(name))"),
    (
        "Observation",
        'patient[family eq "x" and not (active eq false)].birthdate lt 2000',
        "patient→Patient(((family:equals and not active) and birthdate))",
    ),
    ("Patient", r'name eq "a \"quoted\" \u5f20 ) ] name"', "name:equals"),
    ("Patient", "general-practitioner pr true",
     "(general-practitioner:missing or general-practitioner:missing or general-practitioner:missing)"),
    ("Patient", "_id eq 1 and _lastUpdated gt 2020", "(_id and _lastUpdated)"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "text", "expected"), READ, ids=[row[1] for row in READ])
def test_how_a_filter_is_read(parse, type: str, text: str, expected: str) -> None:
    query = parse(type, ("_filter", text))
    assert [_said(each) for each in query.clauses] == [expected]
    assert query.applied == (("_filter", text),)


FAULTS = [
    ("Patient", "", "the name of a search parameter is expected at the end"),
    ("Patient", "name", "an operator as eq, co or gt is expected after a blank at the end"),
    ("Patient", "name co", "a blank is expected after the operator at the end"),
    ("Patient", "name co ", "a value is expected"),
    ("Patient", 'name co "pet', "that are closed at position 9"),
    ("Patient", "name eq x y", "and, or, or the end of the filter is expected at position 11"),
    ("Patient", "name eq x and", "the name of a search parameter is expected at the end"),
    ("Patient", "(name eq x", ") is expected at the end"),
    ("Patient", "name eq x)", "and, or, or the end of the filter is expected at position 10"),
    ("Patient", "not name eq x", "( is expected after not at position 5"),
    ("Patient", "name[family eq x] eq y", "after ] a . and a further name are expected at position 18"),
    ("Patient", "name eq x and nam eq y", "did you mean name? (the comparison at position 15)"),
    ("Patient", "name zz y", "no operator zz; allowed: eq, ne, co, sw, ew, gt, ge, lt, le, pr (the comparison at"),
    ("Patient", "gender co fem", "a token parameter, which has no operator co"),
    ("Patient", "birthdate gt tomorrow", "not a date"),
    ("Patient", "birthdate po x", "(the comparison at position 1)"),
    ("Patient", "active pr maybe", "pr is followed by true or false"),
    ("Patient", "_id pr true", "has no operator pr"),
    ("Patient", "_id in http://x", "holds none"),
    ("Patient", "_text co x", "has no operator co; allowed: none"),
    ("Patient", "name.family eq x", "only a reference leads to another resource"),
    ("Observation", "related[type eq has-component].target pr true", "no search parameter related"),
    ("Observation", "subject.shoe eq 1", "nothing that subject refers to has a search parameter shoe"),
    ("Observation", "status in http://x/none", "the value set http://x/none is not known here"),
    ("Group", "characteristic[code ne a].value eq b", "the parts code and value"),
    ("Group", "characteristic[code eq a].code eq b", "the parts code and value"),
    ("Group", "characteristic[code eq a].value pr true", "cannot be used inside a pair"),
    ("Patient", "name eq " + "x" * LONGEST, f"at most {LONGEST} characters"),
    ("Patient", "(" * 40 + "name eq x" + ")" * 40, f"more than {DEEPEST} deep at position"),
    ("Patient", " and ".join(["name eq x"] * 200), f"at most {MOST_COMPARISONS} comparisons at position"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "text", "expected"), FAULTS, ids=[row[1][:40] or "empty" for row in FAULTS])
@pytest.mark.parametrize("lenient", [False, True])
def test_faults_name_the_position_and_are_never_ignored(
    parse, type: str, text: str, expected: str, lenient: bool
) -> None:
    with pytest.raises(InvalidSearch) as caught:
        parse(type, ("_filter", text), lenient=lenient)
    (issue,) = caught.value.issues
    assert expected in issue.text
    assert issue.expression == "http._filter"


def test_a_filter_has_no_modifier(parse) -> None:
    with pytest.raises(InvalidSearch, match="no modifier"):
        parse("Patient", ("_filter:not", "name eq x"))
