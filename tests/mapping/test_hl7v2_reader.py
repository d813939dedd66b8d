"""HL7 v2 from bytes: charsets and their traps, separators, escapes, places, and what is refused."""

from collections.abc import Callable

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapping_cases import MAPPINGS, example

from fhir_server.errors import NotSupported
from fhir_server.mapping import Malformed, Undecodable
from fhir_server.mapping.readers.escapes import Separators, escape, unescape
from fhir_server.mapping.readers.hl7v2 import Hl7Message, read, read_header
from fhir_server.mapping.readers.places import parse_path

MSH = "MSH|^~\\&|NHIS|12999001MB0000019A|CDR|999001|20260302151830||ADT^A01|1|P|2.4|||AL|AL|CHN|"
ADMISSION = example("chenxi-county", "adt_a01.in.hl7")


def message(body: str = "", charset: str = "GBK", codec: str = "gb18030") -> bytes:
    return f"{MSH}{charset}\r{body}".encode(codec)


def text(read_message: Hl7Message, place: str) -> str | None:
    found = read_message.find(parse_path(place), read_message.whole())
    return found.text if found else None


# ── charsets ──────────────────────────────────────────────────────────────────


def test_a_second_byte_that_is_a_separator_stays_in_its_character():
    line = next(part for part in ADMISSION.split(b"\r") if part.startswith(b"PID"))
    assert "瑋".encode("gbk") == b"\xac|"
    assert len(line.split(b"|")) == 38, "on raw bytes the name falls apart"
    segment = read(ADMISSION).segments[2]
    assert len(segment.fields) == 37
    assert text(read(ADMISSION), "PID-5") == "周瑋"


TRAPS = {
    "7C": "倈億瓅珅瑋祙脇",
    "5C": "乗玕琝誠謀",
    "5E": "玘琟館",
    "7E": "珇瑍",
    "outside GB2312": "喆堃",
    "outside GBK": "䶮",
    "four bytes": "㛃",
    "outside the BMP": "𠅤",
}


@pytest.mark.parametrize(("why", "characters"), TRAPS.items(), ids=TRAPS)
def test_names_with_trap_characters_survive(why: str, characters: str):
    for character in characters:
        raw = message(f"PID|1||||周{character}^{character}||19580315\r")
        read_back = read(raw)
        assert (text(read_back, "PID-5"), text(read_back, "PID-5.2")) == (f"周{character}", character)
        assert text(read_back, "PID-7") == "19580315"


@pytest.mark.parametrize(
    "charset", ["GBK", "GB2312", "CP936", "GB18030", "GB 18030-2000", "gbk", "GBK~ASCII"]
)
def test_every_gb_name_is_read_as_gb18030(charset: str):
    assert text(read(message("PID|1||||㛃\r", charset)), "PID-5") == "㛃"


@pytest.mark.parametrize("charset", ["UNICODE UTF-8", "UTF-8", "utf8"])
def test_utf8_is_read_as_utf8(charset: str):
    assert text(read(message("PID|1||||周瑋\r", charset, "utf-8"), "gb18030"), "PID-5") == "周瑋"


@pytest.mark.parametrize("default", ["gb18030", "utf-8"])
def test_an_empty_msh18_means_the_charset_of_the_his(default: str):
    assert text(read(message("PID|1||||周瑋\r", "", default), default), "PID-5") == "周瑋"


def test_the_charset_that_the_door_heard_wins_over_msh18():
    assert text(read(message("PID|1||||周瑋\r", "GBK", "utf-8"), "gb18030", "utf-8"), "PID-5") == "周瑋"


def test_msh18_is_found_behind_a_name_with_a_separator_byte():
    raw = MSH.replace("NHIS", "瑋系统").encode("gbk") + b"GBK\rPID|1||||\xd6\xdc\xac|\r"
    found = read(raw, "utf-8")
    assert (found.header.application, text(found, "PID-5")) == ("瑋系统", "周瑋")


def test_a_byte_order_mark_is_no_text():
    assert read(b"\xef\xbb\xbf" + message(charset="UTF-8", codec="utf-8")).control_id == "1"


def test_bad_bytes_are_named_by_their_offset_and_never_replaced():
    raw = message("PID|1||||周") + b"\xff\r"
    with pytest.raises(Undecodable) as caught:
        read(raw)
    assert caught.value.offset == raw.index(b"\xff")
    assert f"byte {raw.index(0xFF.to_bytes(1, 'big'))} (0xFF)" in str(caught.value)
    assert caught.value.ack == "AE"


def test_a_character_cut_in_half_is_a_bad_byte():
    raw = message("PID|1||||周瑋\r").rstrip(b"\r")[:-1]
    with pytest.raises(Undecodable) as caught:
        read(raw)
    assert caught.value.offset == len(raw) - 1


def test_utf8_under_a_gb_name_is_refused_rather_than_read_as_other_characters():
    raw = message("PID|1||||周瑋\r", "GBK", "utf-8")
    assert "周瑋".encode().decode("gb18030"), "which would give other characters without any error"
    with pytest.raises(Undecodable, match="the bytes are UTF-8"):
        read(raw)


def test_a_short_gb_name_that_is_formally_utf8_is_still_read_as_gb():
    raw = message("PID|1||||隆\r")
    assert "隆".encode("gbk").decode("utf-8") == "¡"
    assert text(read(raw), "PID-5") == "隆"


def test_an_unknown_charset_is_refused_as_unsupported():
    with pytest.raises(NotSupported, match="BIG5") as caught:
        read(message(charset="BIG5"))
    assert caught.value.ack == "AR"


# ── shape ─────────────────────────────────────────────────────────────────────

REFUSED = {
    "empty": (b"", "does not start with MSH"),
    "no MSH": (b"PID|1\r", "does not start with MSH"),
    "only the name": (b"MSH", "MSH-1"),
    "a letter as separator": (b"MSHA^~\\&A\r", "MSH-1"),
    "a control character as separator": (b"MSH\t^~\\&\t\r", "MSH-1"),
    "separators escaped twice": (b"MSH|^~\\\\&|\r", "MSH-2"),
    "two equal separators": (b"MSH|^^\\&|\r", "MSH-2"),
    "letters as separators": (b"MSH|abcd|\r", "MSH-2"),
    "too few separators": (b"MSH|^~|\r", "MSH-2"),
    "the field separator among them": (b"MSH|^~\\||\r", "MSH-2"),
    "a line that is no segment": (message("pid|1\r"), "line 2"),
    "a broken line": (message("PID|1|a\rstill the same\r"), "line 3"),
    "another separator": (message("PID^1\r"), "line 2"),
    "two messages": (message() + message(), "second MSH"),
    "NUL": (message("PID|1|\0\r"), "0x00"),
    "the end of an MLLP frame": (message("PID|1\r\x1c\r"), "0x1C"),
    "the start of an MLLP frame": (message("PID|\x0b1\r"), "0x0B"),
}


@pytest.mark.parametrize(("raw", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_message_is_refused_with_the_place(raw: bytes, says: str):
    with pytest.raises(Malformed, match=says) as caught:
        read(raw)
    assert (caught.value.ack, caught.value.issues[0].rule) == ("AE", "BAD_SHAPE")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_segments_may_end_as_files_do(end: str):
    raw = message("PID|1||||周瑋\rPV1|1|I\r").replace(b"\r", end.encode())
    assert [segment.name for segment in read(raw).segments] == ["MSH", "PID", "PV1"]


def test_a_line_feed_inside_a_text_is_text_when_segments_end_with_cr():
    assert text(read(message("OBX|1|TX|A||one\ntwo\r")), "OBX-5") == "one\ntwo"


def test_other_separators_are_used_when_msh_names_them():
    raw = b"MSH#*%!@#LIS#F#CDR#R#20260302##OUL*R21#7#P#2.4\rPID#1##A***X%B***IdentifyNO\rOBX#1#ST#A##a!S!b\r"
    found = read(raw)
    assert found.kind == "OUL^R21"
    assert text(found, "PID-3[4=IdentifyNO].1") == "B"
    assert text(found, "OBX-5") == "a*b"


# ── places ────────────────────────────────────────────────────────────────────

PLACES = {
    "PID-3": "ZY20260302017",
    "PID-3[5=IdentifyNO].1": "999001195803150018",
    "PID-3[5=IdentifyNO]": "999001195803150018",
    "PID-3[5=Nothing].1": None,
    "PID-3[2].1": "P0000045678",
    "PID-3[9].1": None,
    "PID-11.*": "晨溪县云栖镇柳岸村3组12号^^^^^^H",
    "PID-99": None,
    "PV1-3.4": "0301",
    "PV1-3.4.2": None,
    "MSH-1": "|",
    "MSH-2": "^~\\&",
    "MSH-9.2": "A01",
    "MSH-18": "GBK",
    "ZZZ-1": None,
    "DG1[6=A]-3.2": "不稳定型心绞痛",
    "DG1[6=W]-3": None,
    "DG1[2]-3": None,
}


@pytest.mark.parametrize(("place", "wanted"), PLACES.items(), ids=PLACES)
def test_place(place: str, wanted: str | None):
    assert text(read(ADMISSION), place) == wanted


@pytest.mark.parametrize(
    "place",
    ["PID", "PID-", "PID-0", "pid-3", "PID-3[x=1]", "PID-3[0]", "PID-3.0", "PID-3.1.2.3", "PID 3", ""],
)
def test_what_is_no_place_is_refused(place: str):
    with pytest.raises(ValueError, match="number" if "[" in place and "0" not in place else "place|number"):
        parse_path(place)


def test_an_explicit_null_is_empty():
    assert text(read(message('PID|1||||""\r')), "PID-5") is None


def test_groups_take_the_segments_before_their_opening_segment():
    found = read(message("ORC|RE|1\rOBR|1|1\rOBX|1|NM|A\rORC|RE|2\rOBR|2|2\rOBX|1|NM|B\rOBX|2|NM|C\r"))
    found.groups = {"OBR": ("ORC",)}
    groups = found.each("OBR", found.whole())
    assert [[segment.name for segment in group.levels[-1].segments] for group in groups] == [
        ["ORC", "OBR", "OBX"],
        ["ORC", "OBR", "OBX", "OBX"],
    ]
    inner = found.each("OBX", groups[1])
    assert [found.find(parse_path("OBX-3"), scope).text for scope in inner] == ["B", "C"]
    assert [found.find(parse_path("ORC-2"), scope).text for scope in inner] == ["2", "2"]
    assert [scope.key for scope in inner] == [(("OBR", 2), ("OBX", 2)), (("OBR", 2), ("OBX", 3))]


# ── escapes ───────────────────────────────────────────────────────────────────

ESCAPES = {
    r"a\F\b": "a|b",
    r"\S\\T\\R\\E\ ".strip(): "^&~\\",
    r"两肺\X0D\左肺": "两肺\n左肺",
    r"a\X0D0A\b": "a\nb",
    r"\.br\a": "\na",
    r"\H\wichtig\N\ ".strip(): "wichtig",
    r"\XD6DC\ ".strip(): "周",
    r"\XFF\ ".strip(): r"\XFF\ ".strip(),
    r"C:\image\1.dcm": r"C:\image\1.dcm",
    r"a\b": r"a\b",
    r"\Zxx\ ".strip(): r"\Zxx\ ".strip(),
}


@pytest.mark.parametrize(("sent", "meant"), ESCAPES.items(), ids=ESCAPES)
def test_escape_sequence(sent: str, meant: str):
    assert unescape(sent, Separators(), "gb18030") == meant


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n")))
def test_what_is_escaped_comes_back(written: str):
    assert unescape(escape(written, Separators()), Separators(), "gb18030") == written


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_an_escaped_text_is_one_value_of_a_message(written: str):
    raw = message(f"NTE|1||{escape(written, Separators())}\r", "UTF-8", "utf-8")
    assert text(read(raw, "utf-8"), "NTE-3") == (written if written != '""' else None)


# ── against another parser ────────────────────────────────────────────────────


def everything(found: Hl7Message) -> dict[str, str]:
    """Every repetition of every field, unescaped parts left out: the splitting alone."""
    return {
        f"{segment.name}[{segment.number}]-{number}[{at}]": repetition
        for segment in found.segments
        for number in range(3, len(segment.fields))
        for at, repetition in enumerate(segment.repetitions(number), 1)
        if repetition
    }


def theirs(decoded: str) -> dict[str, str]:
    counts: dict[str, int] = {}
    parts = {}
    for segment in hl7.parse(decoded):
        name = str(segment[0])
        counts[name] = counts.get(name, 0) + 1
        for number in range(3, len(segment)):
            for at, repetition in enumerate(segment[number], 1):
                if str(repetition):
                    parts[f"{name}[{counts[name]}]-{number}[{at}]"] = str(repetition)
    return parts


@pytest.mark.parametrize("file", sorted(MAPPINGS.glob("*/examples/*.in.hl7")), ids=lambda file: file.name)
def test_fields_are_cut_as_another_parser_cuts_them(file):
    raw = file.read_bytes()
    assert everything(read(raw)) == theirs(raw.decode("gb18030"))


fields = st.lists(st.text("ab1^&~", max_size=6), max_size=8)


@given(st.lists(fields, min_size=1, max_size=5))
def test_random_fields_are_cut_as_another_parser_cuts_them(rows: list[list[str]]):
    body = "".join("ZAB|" + "|".join(row) + "\r" for row in rows)
    raw = message(body, "UTF-8", "utf-8")
    assert everything(read(raw, "utf-8")) == theirs(raw.decode())


# ── hostile input ─────────────────────────────────────────────────────────────

HOSTILE: dict[str, Callable[[], bytes]] = {
    "a megabyte of separators": lambda: message("PID" + "|" * 1_000_000 + "\r"),
    "a megabyte of repetitions": lambda: message("PID|1||" + "~" * 1_000_000 + "\r"),
    "a megabyte of components": lambda: message("PID|1||" + "^" * 1_000_000 + "\r"),
    "a megabyte of subcomponents": lambda: message("PID|1||" + "&" * 1_000_000 + "\r"),
    "a megabyte of escapes": lambda: message("PID|1||" + "\\" * 1_000_000 + "\r"),
    "a hundred thousand segments": lambda: message("NTE|1\r" * 100_000),
    "one long line": lambda: message("NTE|" + "x" * 1_000_000),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_large_nonsense_is_read_in_reasonable_time(make: Callable[[], bytes]):
    found = read(make())
    for place in ("PID-3[5=IdentifyNO].1", "PID-3.3.3", "NTE[1=2]-1", "PID-3[900000].1"):
        text(found, place)
    assert found.kind == "ADT^A01"


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tail: bytes):
    for raw in (tail, message().rstrip(b"\r") + tail, b"MSH|" + tail):
        try:
            found = read(raw)
        except (Malformed, Undecodable, NotSupported):
            continue
        list(found.leaves())
        assert found.header.separators.field


# ── the header alone ──────────────────────────────────────────────────────────


def test_the_header_is_read_even_when_the_message_is_broken():
    header = read_header(message("PID|1||||周") + b"\xff\r")
    assert header is not None
    assert (header.control_id, header.application, header.codec) == ("1", "NHIS", "gb18030")


def test_the_header_is_read_when_the_charset_is_unknown():
    header = read_header(message(charset="BIG5"))
    assert header is not None
    assert (header.control_id, header.charset) == ("1", "BIG5")


def test_there_is_no_header_without_msh():
    assert read_header(b"PID|1\r") is None
