"""CSV views: charsets, quoting, rows as messages of their own, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapping_cases import example

from fhir_server.errors import NotSupported
from fhir_server.mapping import Malformed, Mappings, Undecodable, recognise, split, translate
from fhir_server.mapping.readers.csv import parse_path, read_rows, split_rows

TABLE = example("yunqi-township", "zzyjl_referral.in.csv")
SECOND = example("yunqi-township", "zzyjl_second_patient.in.csv")
HIS = "yunqi-township"


def table(*rows: str, codec: str = "gb18030", end: str = "\r\n") -> bytes:
    return end.join(("no,name", *rows, "")).encode(codec)


@pytest.mark.parametrize(
    ("raw", "declared"),
    [
        (table("1,周瑋"), None),
        (table("1,周瑋", end="\n"), None),
        (table("1,周瑋", codec="utf-8-sig"), None),
        (table("1,周瑋", codec="utf-8-sig"), "GBK"),
        (table("1,周瑋", codec="utf-8"), "UTF-8"),
    ],
    ids=["gb18030", "LF", "utf-8 with BOM", "BOM against the door", "utf-8 by the door"],
)
def test_rows_are_read_in_their_charset(raw: bytes, declared: str | None):
    assert read_rows(raw, "gb18030", declared) == [{"no": "1", "name": "周瑋"}]


def test_commas_quotes_and_line_ends_inside_quotes_are_text():
    raw = table('1,"胸痛,""压榨样""\r\n大汗"', "2,㛃𠅤")
    assert read_rows(raw) == [{"no": "1", "name": '胸痛,"压榨样"\r\n大汗'}, {"no": "2", "name": "㛃𠅤"}]


REFUSED = {
    "empty": (b"", "the file is empty"),
    "a short row": (table("1"), "row 2 has 1 values, the header names 2"),
    "a long row": (table("1,a", "2,b,c"), "row 3 has 3 values"),
    "a column twice": (b"a,b,a\r\n1,2,3\r\n", "names a twice"),
    "a column without a name": (b"a,,c\r\n1,2,3\r\n", "without a name"),
    "an open quote": (table('1,"abc'), "not CSV"),
    "a quote inside": (table('1,"a"b'), "not CSV"),
    "NUL": (table("1,\0"), "0x00"),
    "a field of two megabytes": (table("1," + "x" * 2_000_000), "not CSV"),
}


@pytest.mark.parametrize(("raw", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_is_refused(raw: bytes, says: str):
    with pytest.raises(Malformed, match=says):
        read_rows(raw)


def test_bad_bytes_are_named_by_their_offset():
    raw = table("1,a") + b"2,\xff\xff\r\n"
    with pytest.raises(Undecodable) as caught:
        read_rows(raw)
    assert caught.value.offset == raw.index(b"\xff")


def test_utf8_where_gb18030_is_expected_is_refused():
    with pytest.raises(Undecodable, match="the bytes are UTF-8"):
        read_rows(table("1,周瑋", codec="utf-8"))


@pytest.mark.parametrize("name", ["", " a", "a[1]", "{a}", "a,b"])
def test_what_cannot_be_a_column_is_refused(name: str):
    with pytest.raises(ValueError, match="not the name of a column"):
        parse_path(name)


cells = st.text(st.characters(codec="gb18030", exclude_characters="\0"), max_size=8)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
def test_splitting_a_table_loses_nothing(rows: list[tuple[str, str]]):
    import csv
    import io

    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([("no", "name"), *rows])
    raw = written.getvalue().encode("gb18030")
    pieces = split_rows(raw)
    assert [read_rows(piece) for piece in pieces] == [[row] for row in read_rows(raw)]
    assert len(pieces) == len(rows)


def test_each_row_has_its_own_outcome(mappings: Mappings):
    bad = SECOND.split(b"\r\n")[1].replace("女性".encode("gbk"), b"").replace(b",2,", b",7,", 1)
    pieces = split(mappings, HIS, TABLE + bad + b"\r\n" + SECOND.split(b"\r\n")[1] + b"\r\n")
    recognised = [recognise(mappings, HIS, piece) for piece in pieces]
    assert [item.control_id for item in recognised] == [
        "YJ20260302001@2026-03-02 09:13:20",
        "YJ20260302002@2026-03-02 10:06:40",
        "YJ20260302002@2026-03-02 10:06:40",
    ]
    assert translate(recognised[0]).bundle
    with pytest.raises(Exception, match="sex"):
        translate(recognised[1])
    assert "祝㛃".encode() in translate(recognised[2]).bundle


def test_a_row_cut_out_says_the_same_as_alone(mappings: Mappings):
    both = split(mappings, HIS, TABLE + SECOND.split(b"\r\n", 1)[1])
    assert both == [TABLE, split(mappings, HIS, SECOND)[0]]


def test_several_rows_must_be_split_first(mappings: Mappings):
    with pytest.raises(Malformed, match="has 2 data rows"):
        recognise(mappings, HIS, TABLE + SECOND.split(b"\r\n", 1)[1])


def test_missing_columns_are_all_named(mappings: Mappings):
    raw = "yjlxh,gxsj,hzxm\r\nYJ1,2026-03-02 09:13:20,周瑋\r\n".encode("gbk")
    with pytest.raises(Malformed, match="the header lacks jzlsh, patid, jkkh"):
        recognise(mappings, HIS, raw)


def test_a_row_without_its_key_is_refused(mappings: Mappings):
    with pytest.raises(Malformed, match="the key of the row is empty: yjlxh"):
        recognise(mappings, HIS, TABLE.replace(b"YJ20260302001", b""))


def test_a_table_no_map_is_for_is_unsupported(mappings: Mappings):
    with pytest.raises(NotSupported, match="no map for a table with these columns") as caught:
        recognise(mappings, HIS, b"BGDH,JZLSH\r\n1,2\r\n")
    assert caught.value.ack == "AR"


def test_extra_columns_are_told_as_unread(mappings: Mappings):
    head, row, _ = TABLE.split(b"\r\n")
    raw = head + b",extra\r\n" + row + b",something\r\n"
    assert translate(recognise(mappings, HIS, raw)).unread == ("extra",)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes):
    try:
        rows = read_rows(raw)
    except (Malformed, Undecodable):
        return
    assert all(row for row in rows)
