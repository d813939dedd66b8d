"""The comparison that copies and restores are verified by: it is shown to find whatever is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from fhir_server.errors import Conflict, InvalidContent
from fhir_server.keeping import comparing
from fhir_server.keeping.comparing import compare
from fhir_server.keeping.filling import require_beginning, require_same
from fhir_server.keeping.lines import read_line, write_line
from fhir_server.store import Record

RECORDS = [
    Record("Patient", "a", 1, 1000, "PUT", b'{"id":"a","x":1.00}', 1, 1),
    Record("Patient", "b", 1, 1000, "POST", b'{"id":"b",\n "x":"\xe5\xbc\xa0"}', 2, 2),
    Record("Patient", "a", 2, 2000, "DELETE", b"", 5, 1),
    Record("_Key", "k", 1, 2000, "PUT", b' {"secret":1}', 7, 3),
]


async def stream(records: Sequence[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id)
def test_a_line_keeps_every_byte(record: Record) -> None:
    line = write_line(record)
    assert line.count(b"\n") == 1
    assert read_line(line) == record


@pytest.mark.parametrize("line", [b"", b"{}", b"[", b'{"sequence":1}', b"\xff\n"])
def test_a_line_that_is_damaged_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidContent, match="cannot be read"):
        read_line(line)


async def test_the_same_is_the_same() -> None:
    found = await compare(stream(RECORDS), stream(RECORDS))
    require_same(found, "the source")
    assert found.common == found.left.versions == found.right.versions == 4
    assert found.right.types == {"Patient": 3, "_Key": 1}


PLANTED = {
    "content": {"content": b'{"id":"a","x":1.0}'},
    "type": {"type": "Person"},
    "version": {"version": 3},
    "updated": {"updated": 1001},
    "method": {"method": "POST"},
    "number": {"number": 9},
}


@pytest.mark.parametrize("change", PLANTED.values(), ids=PLANTED.keys())
async def test_a_version_that_differs_is_found(change: dict[str, object]) -> None:
    wrong = [msgspec.structs.replace(RECORDS[0], **change), *RECORDS[1:]]
    found = await compare(stream(RECORDS), stream(wrong))
    assert len(found.differing) == 1
    for require in (require_same, require_beginning):
        with pytest.raises(Conflict):
            require(found, "the source")


@pytest.mark.parametrize("place", range(4))
async def test_a_version_that_is_missing_or_too_many_is_found(place: int) -> None:
    fewer = [*RECORDS[:place], *RECORDS[place + 1 :]]
    lost = await compare(stream(RECORDS), stream(fewer))
    assert (len(lost.missing), lost.common) == (1, 3)
    added = await compare(stream(fewer), stream(RECORDS))
    assert [each.sequence for each in added.extra] == [RECORDS[place].sequence]
    require_beginning(added, "the source")
    for found in (lost, added):
        with pytest.raises(Conflict, match="1 versions differ"):
            require_same(found, "the source")


async def test_a_comparison_that_is_hopeless_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "ENOUGH", 2)
    found = await compare(stream(RECORDS), stream([]))
    assert len(found.missing) == 2
    assert not found.is_same


async def test_the_servers_own_records_are_not_named() -> None:
    found = await compare(stream(RECORDS), stream(RECORDS[:3]))
    assert found.missing == ["_Key"]


async def test_two_stores_with_nothing_in_common_are_not_taken_for_one() -> None:
    found = await compare(stream(RECORDS[:1]), stream(RECORDS[1:2]))
    with pytest.raises(Conflict, match="choose an empty store"):
        require_beginning(found, "the source")
