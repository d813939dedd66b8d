"""Whose message it is and which map is for it; what is refused as unsupported (AR) and what as anomalous (AE)."""

from dataclasses import replace

import pytest
from mapping_cases import example

from fhir_server.errors import NotSupported
from fhir_server.mapping import Malformed, Mappings, recognise, split
from fhir_server.mapping.recognise import parse_content_type

REFERRAL = example("yunqi-township", "ref_i12.in.hl7")


@pytest.mark.parametrize(
    ("his", "name", "map"),
    [
        ("yunqi-township", "ref_i12", "yunqi-township.referral"),
        ("chenxi-county", "adt_a01", "chenxi-county.admission"),
        ("chenxi-county", "adt_a03", "chenxi-county.discharge"),
        ("chenxi-county", "oul_r21", "chenxi-county.laboratory"),
        ("chenxi-county", "oru_r01", "chenxi-county.imaging"),
    ],
)
@pytest.mark.parametrize("is_named", [True, False], ids=["by the door", "by MSH-3 and MSH-4"])
def test_his_and_map_are_found(mappings: Mappings, his: str, name: str, map: str, is_named: bool):
    found = recognise(mappings, his if is_named else None, example(his, f"{name}.in.hl7"))
    assert (found.his.key, found.map.name) == (his, map)


def test_sender_and_control_id_name_the_message(mappings: Mappings):
    found = recognise(mappings, None, REFERRAL)
    assert (found.sender, found.control_id) == ("12999001MB00000275/NHIS", "NHIS202603020912000002")
    assert found.kind == "REF^I12"


def test_the_raw_message_is_kept(mappings: Mappings):
    assert recognise(mappings, None, REFERRAL).raw == REFERRAL


UNSUPPORTED = {
    "an unknown facility": (
        None,
        REFERRAL.replace(b"12999001MB00000275|CDR", b"12999001MB0000043T|CDR"),
        "UNKNOWN_HIS",
    ),
    "an unknown application": (None, REFERRAL.replace(b"|NHIS|", b"|PACS|"), "UNKNOWN_HIS"),
    "an unknown folder": ("nowhere", REFERRAL, "UNKNOWN_HIS"),
    "a message no map is for": (
        None,
        REFERRAL.replace(b"REF^I12^REF_I12", b"SIU^S12"),
        "UNSUPPORTED_MESSAGE",
    ),
    "a message of another hospital": ("chenxi-county", REFERRAL, "UNSUPPORTED_MESSAGE"),
    "an unknown charset": (None, REFERRAL.replace(b"|GBK", b"|BIG5"), "UNSUPPORTED_CHARSET"),
}


@pytest.mark.parametrize(("his", "raw", "rule"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_unsupported(mappings: Mappings, his: str | None, raw: bytes, rule: str):
    with pytest.raises(NotSupported) as caught:
        recognise(mappings, his, raw)
    assert (caught.value.ack, caught.value.issues[0].rule) == ("AR", rule)


def test_a_table_needs_a_door_that_names_the_his(mappings: Mappings):
    with pytest.raises(NotSupported, match="no HIS is known by this name"):
        recognise(mappings, None, example("yunqi-township", "zzyjl_referral.in.csv"))


def test_the_refusal_lists_what_is_there(mappings: Mappings):
    with pytest.raises(NotSupported, match=r"ADT\^A01, ADT\^A03, ORU\^R01, OUL\^R21"):
        recognise(mappings, "chenxi-county", REFERRAL)


def test_a_message_without_control_id_is_anomalous(mappings: Mappings):
    with pytest.raises(Malformed, match="MSH-10"):
        recognise(mappings, None, REFERRAL.replace(b"NHIS202603020912000002", b""))


def test_a_folder_with_faults_is_named(mappings: Mappings):
    broken = replace(mappings, his={}, maps={}, faults={"yunqi-township": ("something",)})
    with pytest.raises(NotSupported, match="has faults and was not loaded"):
        recognise(broken, "yunqi-township", REFERRAL)


def test_the_doors_charset_wins(mappings: Mappings):
    raw = REFERRAL.decode("gb18030").encode()
    found = recognise(mappings, "yunqi-township", raw, "application/hl7-v2; charset=utf-8")
    assert (
        found.message.find(found.map.values["patient"].origin.path, found.message.whole()).text
        == "P0000045678"
    )


def test_an_hl7_message_is_one_piece(mappings: Mappings):
    assert split(mappings, None, REFERRAL) == [REFERRAL]


@pytest.mark.parametrize(
    ("header", "parsed"),
    [
        (None, (None, None)),
        ("", (None, None)),
        ("text/csv", ("text/csv", None)),
        ('Text/CSV; header=present; Charset="GB18030"', ("text/csv", "GB18030")),
        ("; charset=", (None, None)),
    ],
)
def test_content_type(header: str | None, parsed: tuple[str | None, str | None]):
    assert parse_content_type(header) == parsed
