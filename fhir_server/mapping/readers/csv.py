"""A database view as CSV: every data row is a message of its own, named by its key columns.

Text is decoded before it is cut. RFC 4180 quoting; line ends CRLF or LF; the first row names the columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from fhir_server.mapping.faults import Malformed
from fhir_server.mapping.readers.charset import codec_of, decode
from fhir_server.mapping.source import Found, Scope

FORMAT = "csv"
MEDIA_TYPES = ("text/csv", "application/csv")
_BOM = b"\xef\xbb\xbf"


def parse_path(text: str) -> str:
    """The name of a column. Raises ValueError."""
    if not text or text != text.strip() or any(sign in text for sign in "[]{},\"'"):
        raise ValueError(f"{text!r} is not the name of a column")
    return text


class CsvMessage:
    """One row. ``kind``, ``control_id`` and ``sender`` are given by the map that is for it."""

    def __init__(self, row: Mapping[str, str], *, kind: str, control_id: str, sender: str) -> None:
        self.row = row
        self.kind = kind
        self.control_id = control_id
        self.sender = sender

    def whole(self) -> Scope:
        """The row."""
        return Scope((), (self.row,))

    def each(self, name: str, scope: Scope) -> list[Scope]:
        """A row has one part of each column that is not empty."""
        return [scope.inner(name, 1, self.row)] if self.row.get(name) else []

    def find(self, path: str, scope: Scope) -> Found | None:
        """The text in the column, None when it is empty."""
        text = self.row.get(path, "")
        return Found(text, path) if text else None

    def leaves(self) -> Iterator[str]:
        """The columns that are not empty."""
        return (column for column, text in self.row.items() if text.strip())


def read_rows(
    raw: bytes, default_codec: str = "gb18030", declared: str | None = None
) -> list[dict[str, str]]:
    """The rows of a file by column. UTF-8 with a byte order mark is UTF-8; else ``declared``, else ``default_codec``.

    Raises Undecodable or Malformed: no header, a column named twice, a row that is longer or shorter than the header.
    """
    header, *rows = _records(decode(raw, codec(raw, default_codec, declared)))
    names = [name.strip() for name in header]
    _check_header(names)
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise Malformed(
                f"row {number} has {len(row)} values, the header names {len(names)}", f"row {number}"
            )
    return [dict(zip(names, row, strict=True)) for row in rows]


def split_rows(raw: bytes, default_codec: str = "gb18030", declared: str | None = None) -> list[bytes]:
    """Every data row as a file of its own (header and row, CRLF, same charset), so that each has its own outcome."""
    name = codec(raw, default_codec, declared)
    header, *rows = _records(decode(raw, name))
    _check_header([column.strip() for column in header])
    mark = _BOM if raw.startswith(_BOM) else b""
    return [mark + _write([header, row]).encode(name) for row in rows]


def codec(raw: bytes, default: str, declared: str | None) -> str:
    """The charset of the file."""
    if raw.startswith(_BOM):
        return "utf-8"
    return codec_of(declared) if declared else default


def _records(text: str) -> list[list[str]]:
    if "\0" in text:
        raise Malformed(f"the control character 0x00 at character {text.index(chr(0))} is not allowed")
    try:
        records = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise Malformed(f"not CSV: {error}") from error
    if not records:
        raise Malformed("the file is empty; the first row must name the columns", "row 1")
    return records


def _check_header(names: list[str]) -> None:
    if any(not name for name in names):
        raise Malformed("the header has a column without a name", "row 1")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Malformed(f"the header names {', '.join(twice)[:80]} twice", "row 1")


def write_row(row: Mapping[str, str]) -> str:
    """A file of one row."""
    return _write([list(row.keys()), list(row.values())])


def _write(records: list[list[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(records)
    return text.getvalue()
