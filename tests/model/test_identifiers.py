from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.model.identifiers import (
    InstitutionCode,
    Resident,
    check_institution_code,
    check_organization_code,
    check_resident_id,
    check_uscc,
    organization_code,
    read_institution_code,
    read_resident_id,
    resident_check,
)

RESIDENTS = [
    ("999001195803150018", date(1958, 3, 15), "male"),
    ("999001196607220028", date(1966, 7, 22), "female"),
    ("999001201701010039", date(2017, 1, 1), "male"),
    ("999001198909100047", date(1989, 9, 10), "female"),
    ("999001197512010057", date(1975, 12, 1), "male"),
]
CREDIT_CODES = [
    "12999001MB0000019A",
    "12999001MB00000275",
    "12999001MB00000350",
    "12999001MB0000043T",
    "11500000MB1670604W",
]
ORGANIZATIONS = ["MB000001-9", "MB000002-7", "MB000003-5", "MB000004-3"]


@pytest.mark.parametrize(("number", "born", "sex"), RESIDENTS)
def test_a_resident_id_tells_birth_date_and_sex(number: str, born: date, sex: str) -> None:
    assert read_resident_id(number) == Resident(number, "999001", born, sex)
    assert check_resident_id(f" {number} ") == number


@pytest.mark.parametrize("number", [row[0] for row in RESIDENTS])
def test_a_wrong_last_digit_is_found(number: str) -> None:
    wrong = number[:17] + str((int(number[17]) + 1) % 10)
    with pytest.raises(ValueError, match="check character"):
        check_resident_id(wrong)


def test_the_old_form_of_15_digits_is_brought_up_to_date() -> None:
    number, born, sex = RESIDENTS[0]
    old = number[:6] + number[8:17]
    assert len(old) == 15
    assert read_resident_id(old) == Resident(number, "999001", born, sex)


def test_a_final_x_may_be_small() -> None:
    first17 = next(
        f"99900119580315{serial:03d}"
        for serial in range(1, 999)
        if resident_check(f"99900119580315{serial:03d}") == "X"
    )
    assert check_resident_id(first17 + "x") == first17 + "X"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("", "18 characters"),
        ("99900119580315001", "18 characters"),
        ("999001195803150018 1", "18 characters"),
        ("99900119580315001A", "18 characters"),
        ("099001195803150018", "18 characters"),
        ("９９９００１１９５８０３１５００１８", "18 characters"),
        ("999001195802300018", "no date"),
        ("999001580230001", "no date"),
    ],
)
def test_what_is_no_resident_id_is_refused_without_repeating_it(number: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        read_resident_id(number)
    assert not number or number not in str(caught.value)


@given(st.sampled_from(RESIDENTS), st.integers(0, 17), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(row: tuple[str, date, str], place: int, step: int) -> None:
    number = row[0]
    wrong = number[:place] + str((int(number[place]) + step) % 10) + number[place + 1 :]
    with pytest.raises(ValueError, match="resident id"):
        check_resident_id(wrong)


@pytest.mark.parametrize("code", CREDIT_CODES)
def test_a_credit_code_is_checked_and_holds_the_organization_code(code: str) -> None:
    assert check_uscc(code.lower()) == code
    assert organization_code(code) == code[8:17]
    wrong = code[:17] + ("0" if code[17] != "0" else "1")
    with pytest.raises(ValueError, match="check character"):
        check_uscc(wrong)


@pytest.mark.parametrize(
    "code", ["", "12999001MB0000019", "12999001MB0000019I", "12999001MB0000019AA", "12999001-MB000001A"]
)
def test_what_is_no_credit_code_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="18 characters"):
        check_uscc(code)


@pytest.mark.parametrize("code", ORGANIZATIONS)
def test_an_organization_code_is_checked_with_and_without_hyphen(code: str) -> None:
    plain = code.replace("-", "")
    assert check_organization_code(code) == plain
    assert check_organization_code(plain.lower()) == plain
    with pytest.raises(ValueError, match="check character"):
        check_organization_code(code[:-1] + ("0" if code[-1] != "0" else "1"))


def test_an_institution_code_is_read_in_parts() -> None:
    code = "MB000001999900111A1001"
    expected = InstitutionCode("MB0000019", "999001", "11", "A100", "1")
    assert read_institution_code(code) == expected
    assert read_institution_code("MB000001-9" + code[9:]) == expected
    assert check_institution_code("MB000001-9" + code[9:]) == code


@pytest.mark.parametrize(
    ("check", "text", "reason"),
    [
        (check_institution_code, "MB000001899900111A1001", "check character of the organization code"),
        (check_institution_code, "MB000001999900111A100", "22 characters"),
        (check_institution_code, "MB00000199990011101001", "22 characters"),
        (check_organization_code, "MB00001-9", "8 digits or letters"),
        (check_organization_code, "", "8 digits or letters"),
    ],
)
def test_what_is_no_such_code_is_refused(check: Callable[[str], str], text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check(text)
