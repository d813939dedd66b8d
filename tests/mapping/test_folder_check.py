"""What is wrong with a folder is told at once, with file and line: typing errors, unknown names, YAML traps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mapping_cases import cases

from fhir_server.definitions import Definitions, load_definitions
from fhir_server.mapping import check, load_mappings
from fhir_server.mapping.yaml_text import UnreadableFile, parse_document

HERE = Path("folder/file.yaml")


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load_definitions()


@pytest.fixture
def faults(spoilt: Path, definitions: Definitions) -> Callable[[str, str, str], list[str]]:
    """The faults of the folder after ``old`` in ``file`` was replaced by ``new``."""

    def make(file: str, old: str, new: str) -> list[str]:
        path = spoilt / file
        text = path.read_text("utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1), "utf-8")
        folder = "yunqi-township" if file.startswith(("yunqi", "common")) else "chenxi-county"
        return check(spoilt / folder, definitions)

    return make


REFERRAL, ADMISSION = "yunqi-township/referral.map.yaml", "chenxi-county/admission.map.yaml"


@pytest.mark.parametrize("case", cases("spoilt"), ids=lambda case: case["what"])
def test_fault_is_told(faults: Callable[..., list[str]], case: dict[str, Any]):
    found = faults(case["file"], case["old"], case["new"])
    assert any(case["says"] in fault for fault in found), found


def test_faults_name_file_and_line(faults: Callable[..., list[str]], spoilt: Path):
    found = faults(REFERRAL, "lookup: referral-priority", "lokup: referral-priority")
    line = next(
        number
        for number, text in enumerate((spoilt / REFERRAL).read_text("utf-8").splitlines(), 1)
        if "lokup" in text
    )
    assert found[0].startswith(f"yunqi-township/referral.map.yaml:{line}: rules/")


def test_every_fault_of_a_folder_is_told_at_once(spoilt: Path, definitions: Definitions):
    path = spoilt / REFERRAL
    text = path.read_text("utf-8")
    text = text.replace("check: uscc", "check: ussc").replace(
        "description: RF1-3.2", "description: {value: asked}"
    )
    path.write_text(text.replace("for: {ref: patient, required: true}", "for: {ref: patent}"), "utf-8")
    found = check(spoilt / "yunqi-township", definitions)
    assert [word for word in ("ussc", "asked", "patent") if not any(word in fault for fault in found)] == []


def test_a_folder_at_fault_leaves_the_others_alone(spoilt: Path):
    (spoilt / "chenxi-county" / "his.yaml").write_text("name: [", "utf-8")
    mappings = load_mappings(spoilt)
    assert set(mappings.his) == {"yunqi-township"}
    assert "not YAML" in mappings.faults["chenxi-county"][0]


def test_a_folder_that_is_none_is_told(tmp_path: Path):
    assert check(tmp_path) == [f"{tmp_path.name}: no his.yaml"]
    assert load_mappings(tmp_path / "nothing").his == {}


def test_a_missing_golden_file_is_told(spoilt: Path, definitions: Definitions):
    (spoilt / "chenxi-county" / "examples" / "adt_a01.out.json").unlink()
    assert any(
        "adt_a01.out.json is missing" in fault for fault in check(spoilt / "chenxi-county", definitions)
    )


def test_a_map_without_example_is_told(spoilt: Path, definitions: Definitions):
    (spoilt / "chenxi-county" / "examples" / "adt_a01.in.hl7").unlink()
    found = check(spoilt / "chenxi-county", definitions)
    assert any("admission.map.yaml: no example" in fault for fault in found)


def test_a_way_back_that_loses_something_is_told(spoilt: Path, definitions: Definitions):
    """Two local codes with one meaning and no memory of the local one."""
    table = spoilt / "common" / "codes" / "diagnosis-kind.yaml"
    table.write_text(
        table.read_text("utf-8").replace("source:", "title2:").replace("title2:", "note:"), "utf-8"
    )
    found = check(spoilt / "chenxi-county", definitions)
    assert any("the way back gives another text for DG1[1]-6" in fault for fault in found), found


def test_a_concept_map_is_a_code_table_too(spoilt: Path, definitions: Definitions):
    (spoilt / "common" / "codes" / "hl7-sex.yaml").unlink()
    (spoilt / "common" / "codes" / "hl7-sex.json").write_text(
        """{"resourceType": "ConceptMap", "name": "hl7-sex", "version": "2.0.0", "group": [{
          "target": "http://hl7.org/fhir/administrative-gender", "element": [
            {"code": "M", "target": [{"code": "male"}]}, {"code": "F", "target": [{"code": "female"}]}]}]}""",
        "utf-8",
    )
    assert check(spoilt / "chenxi-county", definitions) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"resourceType": "ConceptMap"}'])
def test_a_concept_map_that_is_none_is_told(spoilt: Path, definitions: Definitions, content: str):
    (spoilt / "common" / "codes" / "more.json").write_text(content, "utf-8")
    assert any("codes/more.json: not" in fault for fault in check(spoilt / "chenxi-county", definitions))


# ── tests that stand in a map ─────────────────────────────────────────────────

TEST = """
tests:
  - name: mine
    example: adt_a01.in.hl7
    change: {{{change}}}
    {expect}
"""
TESTS = {
    "a right one": ("PID-8: F", "expect: {Patient.gender: female}", None),
    "a wrong one": ("PID-8: F", "expect: {Patient.gender: male}", "Patient.gender: expected 'male', got 'female'"),
    "a fault expected": ("PID-8: X", "expect_issue: code 'X' is not in the table", None),
    "another fault": ("PID-8: X", "expect_issue: something else", "issue with 'something else', got rules/"),
    "no fault": ("PID-8: F", "expect_issue: something", "expected an issue with 'something', got none"),
    "a fault not expected": ("PID-8: X", "expect: {Patient.gender: male}", "code 'X' is not in the table"),
    "a warning expected": ("PID-16: \"77\"", "expect_issue: code '77'", None),
    "no such place": ("ZZZ-8: X", "expect: {Patient.gender: male}", "the example has no segment for ZZZ-8"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expect", "says"), TESTS.values(), ids=TESTS)
def test_test_in_a_map(spoilt: Path, definitions: Definitions, change: str, expect: str, says: str | None):
    path = spoilt / ADMISSION
    text = path.read_text("utf-8").partition("\ntests:")[0]
    path.write_text(text + TEST.format(change=change, expect=expect), "utf-8")
    found = check(spoilt / "chenxi-county", definitions)
    assert (
        (found == []) if says is None else any("test 'mine'" in fault and says in fault for fault in found)
    ), found


# ── YAML ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "scalar",
    [
        "01",
        "010",
        "0x1F",
        "no",
        "yes",
        "on",
        "~",
        "null",
        "12:30",
        "2026-08-01",
        "1e3",
        "1_000",
        ".5",
        "true",
    ],
)
def test_every_scalar_is_text(scalar: str):
    assert parse_document(f"{{a: {scalar}, {scalar}: b}}", HERE).data == {"a": scalar, scalar: "b"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "file.yaml:3: the key 'a' is written twice"),
        ("a: &x 1\nb: *x\n", "aliases"),
        ("? [a, b]\n: c\n", "a key must be a word"),
        ("a: [1\n", "not YAML"),
        ("\ta: 1\n", "not YAML"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        ("", "the file is empty"),
    ],
)
def test_yaml_that_hides_something_is_refused(text: str, says: str):
    with pytest.raises(UnreadableFile, match=says):
        parse_document(text, HERE)


def test_deep_nesting_is_refused_and_does_not_crash():
    with pytest.raises(UnreadableFile):
        parse_document("[" * 100_000, HERE)


def test_a_document_knows_its_lines():
    document = parse_document("a:\n  - b: 1\n    c: 2\n", HERE)
    assert document.place(("a", 0, "c")) == "folder/file.yaml:3"
    assert document.place(("a", 0, "c", "deeper")) == "folder/file.yaml:3"
