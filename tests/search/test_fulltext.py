"""Words, the grammar of ``_text`` and ``_content``, and where the texts of a resource come from."""

from __future__ import annotations

import pytest

from fhir_server.errors import InvalidSearch
from fhir_server.search.clauses import AllOf, AnyOf, Clause, Criterion, Not
from fhir_server.search.extract import Extractor
from fhir_server.search.index import CONTENT, NARRATIVE
from fhir_server.search.types.fulltext import DEEPEST, MOST_TERMS, MOST_WORDS
from fhir_server.search.types.words import words

WORDS = [
    ("Bone metastases", ["bone", "metastases"]),
    ("2型糖尿病，控制不佳", ["2", "型", "糖", "尿", "病", "控", "制", "不", "佳"]),
    ("高血压Ⅱ级 １２０/80mmHg", ["高", "血", "压", "ii", "级", "120", "80mmhg"]),
    ("𠮷田𰻝\U00031350〇々", ["𠮷", "田", "𰻝", "\U00031350", "〇", "々"]),
    ("\ue863镇", ["\ue863", "镇"]),
    ("Übelkeit naïve_user", ["ubelkeit", "naive", "user"]),
    ("ｱｽﾋﾟﾘﾝ", list("アスピリン")),
    ("E11.9, I10", ["e11", "9", "i10"]),
    (" -—。!?\ufdd0 ", []),
]


@pytest.mark.parametrize(("text", "expected"), WORDS, ids=[row[0] for row in WORDS])
def test_words(text: str, expected: list[str]) -> None:
    assert list(words(text)) == expected


def _said(criterion: Criterion) -> str:
    """The criterion as an expression with every parenthesis."""
    match criterion:
        case Clause(_, "text", (value,)):
            return " ".join(value.words) + ("*" if value.open else "")
        case Not(inner):
            return f"-({_said(inner)})"
        case AnyOf(criteria):
            return "(" + " | ".join(map(_said, criteria)) + ")"
        case AllOf(criteria):
            return "(" + " & ".join(map(_said, criteria)) + ")"
    raise AssertionError(criterion)


GRAMMAR = [
    ("bone", "bone"),
    ("bone metastases", "(bone & metastases)"),
    ("bone and metastases", "(bone & metastases)"),
    ("(bone OR liver) and metastases", "((bone | liver) & metastases)"),
    ("bone OR liver metastases", "(bone | (liver & metastases))"),
    ("NOT bone OR liver", "(-(bone) | liver)"),
    ("not not bone", "-(-(bone))"),
    ("not (bone liver)", "-((bone & liver))"),
    ('"bone or liver"', "bone or liver"),
    ("“高血压”病史", "(高 血 压 & 病 史)"),
    ("高血压", "高 血 压"),
    ("E11.9", "e11 9"),
    ("metast*", "metast*"),
    ("（a OR b）c", "((a | b) & c)"),
    (r"a\,b", "a b"),
]


@pytest.mark.parametrize(("text", "expected"), GRAMMAR, ids=[row[0] for row in GRAMMAR])
def test_grammar(parse, text: str, expected: str) -> None:
    (criterion,) = parse("Patient", ("_text", text)).clauses
    assert _said(criterion) == expected


FAULTS = [
    ("", "value is missing"),
    ("(bone", "not closed"),
    ("bone)", "the ) at position 5 closes nothing"),
    ("bone OR", "missing at the end"),
    ("AND bone", "missing at position 1"),
    ("bone (OR x)", "missing at position 7"),
    ('"bone', "quotation mark is not closed"),
    ("()", "missing at position 2"),
    ("…", "without any word"),
    ("(" * 30 + "x" + ")" * 30, f"more than {DEEPEST} deep"),
    ("not " * 30 + "x", f"more than {DEEPEST} deep"),
    ("x " * 500, f"at most {MOST_TERMS}"),
    ("字" * 500, f"at most {MOST_WORDS}"),
]


@pytest.mark.parametrize(("text", "expected"), FAULTS, ids=[row[0][:20] or "empty" for row in FAULTS])
@pytest.mark.parametrize("name", ["_text", "_content"])
def test_faults_name_the_place(parse, name: str, text: str, expected: str) -> None:
    with pytest.raises(InvalidSearch) as caught:
        parse("Patient", (name, text))
    assert expected in caught.value.issues[0].text
    assert "bone" not in caught.value.issues[0].text


def test_texts_are_those_of_codes_and_references_the_narrative_and_every_string(extract: Extractor) -> None:
    values = extract(
        {
            "resourceType": "Condition",
            "id": "1",
            "code": {"text": "头痛", "coding": [{"system": "urn:s", "code": "R51", "display": "Headache"}]},
            "subject": {"reference": "Patient/1", "display": "张伟"},
            "text": {"status": "generated", "div": "<div>in the <b>text</b> &lt;3</div>"},
            "contained": [{"resourceType": "Binary", "contentType": "text/plain", "data": "aGlkZGVu"}],
        }
    )
    by_key: dict[int, set[str]] = {}
    for key, said in values.texts():
        by_key.setdefault(key, set()).add(" ".join(said))
    parameters = extract.registry.parameters("Condition")
    assert by_key[parameters["code"].keys[0]] == {"头 痛", "headache"}
    assert by_key[parameters["subject"].keys[0]] == {"张 伟"}
    assert by_key[NARRATIVE] == {"in the text 3"}
    assert by_key[CONTENT] >= {
        "头 痛",
        "headache",
        "r51",
        "urn s",
        "patient 1",
        "in the text 3",
        "generated",
        "text plain",
    }
    assert not by_key[CONTENT] & {"condition", "binary", "agikzgvu", "aglkzgvu"}
