"""Public HL7 v2 messages: the reader reads each or refuses it with a reason, whatever it is."""

import os
import tarfile
from pathlib import Path

import pytest
from mapping_cases import ROOT

from fhir_server.errors import FhirError
from fhir_server.mapping import Mappings, recognise
from fhir_server.mapping.readers.csv import read_rows
from fhir_server.mapping.readers.hl7v2 import read, read_header

SHARED = Path(os.environ.get("FHIR_SHARED", ROOT.parent / "shared"))


def files(pack: str, ending: str) -> list[tuple[str, bytes]]:
    """The files of a pack with this ending; the test is skipped when the pack is not there."""
    path = SHARED / "data" / f"{pack}.tar.xz"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with tarfile.open(path, "r:xz") as archive:
        members = [member for member in archive if member.isfile() and member.name.endswith(ending)]
        return [(member.name, archive.extractfile(member).read()) for member in members]


def test_public_messages_are_read_or_refused_with_a_reason(mappings: Mappings):
    messages = files("hl7v2", ".hl7")
    assert len(messages) > 500
    refused = {}
    for name, raw in messages:
        try:
            leaves = list(read(raw, "utf-8").leaves())
            assert len(leaves) > 3, name
        except FhirError as error:
            refused[name] = error
        read_header(raw)
        with pytest.raises(FhirError):
            recognise(mappings, None, raw)
    assert all(error.ack in {"AE", "AR"} and error.issues[0].rule for error in refused.values())
    assert len(refused) < len(messages) * 0.1, {name: str(error) for name, error in refused.items()}


def test_synthetic_chinese_messages_are_read(mappings: Mappings):
    messages = files("chinese", ".hl7")
    assert messages
    for name, raw in messages:
        codec = "utf-8" if ".utf8." in name else "gb18030"
        found = read(raw, codec, "UTF-8" if ".utf8." in name else None)
        assert any("一" <= sign <= "鿿" for segment in found.segments for sign in segment.line), name
        with pytest.raises(FhirError):
            recognise(mappings, None, raw)


def test_synthetic_chinese_tables_are_read():
    for name, raw in files("chinese", "his-referral-rows.gbk.csv"):
        assert read_rows(raw, "gb18030"), name
