"""The acknowledgement: readable by the HL7 library of others, whatever the message was."""

from __future__ import annotations

from datetime import UTC, datetime

import hl7
import pytest
from inbound_scene import changed, example

from fhir_server.errors import Issue
from fhir_server.inbound.ack import acknowledge
from fhir_server.inbound.receive import Receipt

NOW = datetime(2026, 3, 2, 1, 12, tzinfo=UTC)


def parsed(raw: bytes, receipt: Receipt, codec: str = "gb18030") -> hl7.Message:
    return hl7.parse(acknowledge(raw, receipt, now=NOW, new_id=lambda: "0" * 36).decode(codec))


def problem(text: str, **members: str) -> Receipt:
    return Receipt("AE", 422, (Issue("error", "business-rule", text, **members),), "m1")


def test_separators_in_our_own_texts_are_escaped() -> None:
    message = parsed(example("ref_i12"), problem(r"a|b^c~d\e&f", rule="X"))
    assert str(message.segment("MSA")[3][0]) == r"a\F\b\S\c\R\d\E\e\T\f [kept as m1]"
    assert message.unescape(str(message.segment("MSA")[3][0])) == r"a|b^c~d\e&f [kept as m1]"


def test_the_place_in_the_message_comes_from_the_translation() -> None:
    receipt = problem("no such code", rule="UNMAPPED_CODE", diagnostics="map=x rule=y source=OBX[3]-8[1].1.1")
    err = parsed(example("ref_i12"), receipt).segment("ERR")
    assert str(err[1]).split("^")[:3] == ["OBX", "3", "8"]
    assert (
        str(err[1]).split("^")[3].startswith("103&Table value not found&HL70357&UNMAPPED_CODE&no such code")
    )


def test_warnings_of_a_written_message_are_no_errors() -> None:
    receipt = Receipt("AA", 200, (Issue("warning", "informational", "kept as text"),), "m1", ("Patient/1",))
    text = acknowledge(example("ref_i12"), receipt, now=NOW, new_id=lambda: "1").decode("gb18030")
    assert "ERR" not in text
    assert "MSA|AA|NHIS202603020912000002|processed\r" in text


def test_other_separators_are_the_senders() -> None:
    raw = changed(example("ref_i12"), ("|", "$"))
    text = acknowledge(raw, problem("costs 5$"), now=NOW, new_id=lambda: "1").decode("gb18030")
    assert text.startswith("MSH$^~\\&$CDR$999001$NHIS$")
    assert "costs 5\\F\\" in text


@pytest.mark.parametrize(
    "raw",
    [b"", b"hello", b"MSH", b"MSH|", b"MSH|^~\\&|A|B|C|D||||7|", b"\xff\xfe\x00", b"MSH|^~\\&|\xff\xff|B"],
)
def test_what_is_no_message_is_acknowledged_too(raw: bytes) -> None:
    message = parsed(raw, problem("not a message"), "utf-8")
    assert str(message.segment("MSA")[1]) == "AE"
    assert str(message.segment("MSH")[12]) == "2.4"


def test_the_answer_is_in_the_charset_of_the_message() -> None:
    raw = example("ref_i12")
    assert "缺少".encode("gb18030") in acknowledge(raw, problem("缺少姓名"), now=NOW, new_id=lambda: "1")
    utf8 = raw.decode("gb18030").replace("|GBK", "|UNICODE UTF-8").encode()
    assert "缺少".encode() in acknowledge(utf8, problem("缺少姓名"), now=NOW, new_id=lambda: "1")
