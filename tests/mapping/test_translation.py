"""What messages become, and what is said when they cannot: rows in tests/cases/mapping."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import orjson
import pytest
from mapping_cases import ROOT, cases, example

from fhir_server.errors import Issue
from fhir_server.mapping import Mappings, Recognised, Untranslatable, recognise, translate
from fhir_server.mapping.check import found_text
from fhir_server.model.exact import loads_exact

Changed = Callable[[dict[str, Any]], Recognised]
REFERRAL = {"his": "yunqi-township", "example": "ref_i12.in.hl7"}
RESULTS = {"his": "chenxi-county", "example": "oul_r21.in.hl7"}


def row_name(case: dict[str, Any]) -> str:
    return f"{case['example'].partition('.')[0]} {case['change']}"


def faults_of(recognised: Recognised) -> tuple[Issue, ...]:
    with pytest.raises(Untranslatable) as caught:
        translate(recognised)
    return caught.value.issues


def resources(recognised: Recognised, kind: str) -> list[dict[str, Any]]:
    entries = loads_exact(translate(recognised).bundle)["entry"]
    return [entry["resource"] for entry in entries if entry["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("case", cases("values"), ids=row_name)
def test_value(case: dict[str, Any], changed: Changed):
    entries = loads_exact(translate(changed(case)).bundle)["entry"]
    found = {path: found_text([entry["resource"] for entry in entries], path) for path in case["expect"]}
    assert found == case["expect"]


@pytest.mark.parametrize("case", cases("faults"), ids=row_name)
def test_fault_says_what_and_where(case: dict[str, Any], changed: Changed):
    recognised = changed(case)
    issues = faults_of(recognised)
    fitting = [issue for issue in issues if issue.rule == case["rule"] and case["says"] in issue.text]
    assert fitting, issues
    assert (fitting[0].expression or "") == case["at"]
    assert f"map={recognised.map.label} rule=" in (fitting[0].diagnostics or "")


@pytest.mark.parametrize("case", cases("faults"), ids=row_name)
def test_fault_tells_no_patient_data(case: dict[str, Any], changed: Changed):
    recognised = changed(case)
    told = " ".join(f"{issue.text} {issue.diagnostics}" for issue in faults_of(recognised))
    private = (
        "周瑋",
        "999001195803150018",
        "999001195803150019",
        "19581301",
        "柳岸村",
        "19900000001",
        "P0000045678",
    )
    assert [text for text in private if text in told] == []


def test_every_fault_is_told_at_once(changed: Changed):
    change = {
        "PID-5": "",
        "PID-8": "X",
        "PID-7": "1958",
        "RF1-2": "Z",
        "DG1-3": "",
        "PRD[1=RT]-4": "12345",
        "PV1-44": "2026-",
    }
    rules = [issue.rule for issue in faults_of(changed({**REFERRAL, "change": change}))]
    assert rules.count("UNMAPPED_CODE") >= 2
    assert rules.count("MISSING_REQUIRED") == 2
    assert rules.count("BAD_DATE") == 1
    assert rules.count("BAD_CHECK_DIGIT") == 1


def test_one_fault_of_a_named_value_is_told_once(changed: Changed):
    issues = faults_of(changed({**REFERRAL, "change": {"PID-3[5=IdentifyNO]": "999001195803150019"}}))
    assert [issue.rule for issue in issues] == ["BAD_CHECK_DIGIT"]


def test_decimals_keep_the_text_they_were_sent_with(changed: Changed):
    translation = translate(changed({**RESULTS, "change": {"OBX[1]-5.*": "3.10", "OBX[2]-5.*": "0.0000001"}}))
    assert b'"value":3.10,' in translation.bundle
    assert b'"value":0.0000001,' in translation.bundle


def test_what_a_dash_means_depends_on_the_field(changed: Changed):
    recognised = changed({**RESULTS, "change": {"OBX[4]-5.*": "-", "PID-13": "-"}})
    values = [item.get("valueString") for item in resources(recognised, "Observation")]
    assert "-" in values
    assert "telecom" not in resources(recognised, "Patient")[0]


def test_resources_and_addresses_are_the_same_every_time(changed: Changed):
    first, second = (translate(changed({**REFERRAL, "change": {}})).bundle for _ in range(2))
    assert first == second


def test_every_reference_inside_the_bundle_has_its_entry(mappings: Mappings):
    for file in sorted((ROOT / "mappings").glob("*/examples/*.in.hl7")):
        bundle = orjson.loads(translate(recognise(mappings, None, file.read_bytes())).bundle)
        urls = {entry.get("fullUrl") for entry in bundle["entry"]}
        text = orjson.dumps(bundle).decode()
        used = {part.partition('"')[0] for part in text.split('"reference":"')[1:]}
        assert {url for url in used if url.startswith("urn:")} <= urls
        assert len(used) > 3


def test_every_resource_tells_its_mapping_and_the_message_is_named(changed: Changed):
    bundle = orjson.loads(translate(changed({**REFERRAL, "change": {}})).bundle)
    tags = {entry["resource"]["meta"]["tag"][0]["code"] for entry in bundle["entry"]}
    assert tags == {"yunqi-township.referral@1.0.0"}
    provenance = bundle["entry"][-1]["resource"]
    assert len(provenance["target"]) == len(bundle["entry"]) - 1
    assert provenance["policy"] == ["http://cmc.example.org/fhir/mapping/yunqi-township.referral|1.0.0"]
    assert provenance["entity"][0]["what"]["identifier"] == {
        "system": "http://cmc.example.org/sid/12999001MB00000275/message",
        "value": "12999001MB00000275/NHIS|NHIS202603020912000002",
    }


def test_unread_names_what_no_rule_used(changed: Changed):
    translation = translate(changed({**REFERRAL, "change": {"PID-23": "晨溪县", "RF1-8.2": "x"}}))
    assert translation.unread == ("RF1[1]-8[1].2.1", "PID[1]-23[1].1.1")


def test_trace_explains_a_value(changed: Changed):
    translation = translate(changed({**REFERRAL, "change": {}}))
    gender = next(item for item in translation.trace if item.target == "Patient.gender")
    assert (gender.source, gender.raw, gender.rule) == ("PID[1]-8[1].1.1", "M", "rules/patient/set/gender")
    assert gender.steps == ("lookup hl7-sex M → male",)
    born = next(item for item in translation.trace if item.target == "Patient.birthDate")
    assert born.steps == ("date hl7",)


def test_defaults_are_told(changed: Changed):
    translation = translate(changed({**REFERRAL, "change": {"RF1-2": ""}}))
    assert translation.defaults == ("ServiceRequest.priority", "Task.priority")


def test_warning_keeps_the_text_and_is_told(changed: Changed):
    translation = translate(changed({**RESULTS, "change": {"PID-16": "77"}}))
    assert [(issue.severity, issue.rule) for issue in translation.issues] == [("warning", "UNMAPPED_CODE")]


def test_one_person_met_twice_is_one_resource(changed: Changed):
    practitioners = resources(changed({**RESULTS, "change": {}}), "Practitioner")
    assert sorted(item["identifier"][0]["value"] for item in practitioners) == ["N0123", "N0456"]


def test_two_reports_in_one_message_keep_their_own_results(mappings: Mappings):
    raw = example("chenxi-county", "oul_r21.in.hl7")
    start = raw.index(b"ORC|")
    second = (
        raw[start:]
        .replace(b"BG2026030200345", b"BG2026030200346")
        .replace(b"SQ2026030200112", b"SQ2026030200119")
    )
    recognised = recognise(mappings, None, raw + second)
    reports = resources(recognised, "DiagnosticReport")
    assert [len(report["result"]) for report in reports] == [5, 5]
    assert not {item["reference"] for item in reports[0]["result"]} & {
        item["reference"] for item in reports[1]["result"]
    }
    orders = [report["basedOn"][0]["identifier"]["value"] for report in reports]
    assert orders == ["SQ2026030200112", "SQ2026030200119"]


def test_criteria_are_escaped(changed: Changed):
    bundle = orjson.loads(translate(changed({**REFERRAL, "change": {"RF1-6": "ZZ,1|2&x=1"}})).bundle)
    request = next(
        entry["request"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "ServiceRequest"
    )
    assert request["ifNoneExist"].endswith("/referral|ZZ%5C%2C1%5C%7C2%26x%3D1")


def test_a_report_with_two_thousand_results_is_translated_in_seconds(mappings: Mappings):
    raw = example("chenxi-county", "oul_r21.in.hl7")
    results = b"".join(b"OBX|%d|NM|C%d^x||3.1|mmol/L|3.5-5.3|L|||F\r" % (n, n) for n in range(2000))
    started = perf_counter()
    translation = translate(recognise(mappings, None, raw[: raw.index(b"OBX|")] + results))
    assert perf_counter() - started < 10
    assert translation.bundle.count(b'"resourceType":"Observation"') == 2000
