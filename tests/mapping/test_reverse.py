"""The way back: what was mapped with reverse comes out as it was sent, for changed messages too."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_cases import MAPPINGS, example

from fhir_server.mapping import load_mappings, recognise, reverse, translate
from fhir_server.mapping.check import round_trip_faults
from fhir_server.mapping.edit import edited
from fhir_server.mapping.reverse import reversible

ALL = load_mappings(MAPPINGS)
names = st.text(st.characters(codec="gb18030", categories=("Lo", "Lu")), min_size=1, max_size=6)
numbers = st.from_regex(r"[A-Z]{2}[0-9]{1,8}", fullmatch=True)
days = st.dates().map(lambda day: day.strftime("%Y%m%d") if day.year >= 1901 else "19580315")


@settings(max_examples=25, deadline=None)
@given(name=names, number=numbers, day=days, sex=st.sampled_from("MFUO"))
def test_a_changed_admission_comes_back(name: str, number: str, day: str, sex: str):
    change = {"PID-5": name, "PID-2": number, "PID-7": day, "PID-8": sex, "PV1-19": number, "PID-11": name}
    raw = edited(example("chenxi-county", "adt_a01.in.hl7"), "hl7v2", "gb18030", change)
    recognised = recognise(ALL, None, raw)
    back = reverse(recognised.map, translate(recognised).bundle)
    assert {place: back[place] for place in change} == change
    assert list(round_trip_faults(recognised, translate(recognised))) == []


def test_the_columns_of_a_row_come_back():
    recognised = recognise(ALL, "yunqi-township", example("yunqi-township", "zzyjl_second_patient.in.csv"))
    back = reverse(recognised.map, translate(recognised).bundle)
    assert back["hzxm"] == "祝㛃"
    assert back["csrq"] == "1966-07-22"
    assert back["xbdm"] == "2"
    assert back["jzlb"] == "1"
    assert back["zdyljgdm"] == "MB0000027"
    assert back["zzrq"] == "2026-03-02 10:05:00"
    assert len(back) > 20


def test_segments_are_numbered():
    recognised = recognise(ALL, None, example("chenxi-county", "adt_a03.in.hl7"))
    back = reverse(recognised.map, translate(recognised).bundle)
    assert (back["DG1[1]-3"], back["DG1[2]-3"], back["DG1[2]-6"]) == ("I20.000", "I10.x00", "F")


@pytest.mark.parametrize(
    "item", [item for maps in ALL.maps.values() for item in maps], ids=lambda item: item.name
)
def test_every_map_has_a_way_back(item):
    assert len(reversible(item)) >= 10
