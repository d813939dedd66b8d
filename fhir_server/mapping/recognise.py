"""Which HIS a message is from, and which of its maps is for it.

The door names the HIS (``/inbound/{his}``), or MSH-3 and MSH-4 do. A message no map is for is not at fault: it is
refused (AR); a message that is not one of its format is at fault (AE) and kept for repair.
"""

from __future__ import annotations

from fhir_server.errors import NotSupported
from fhir_server.mapping.faults import UNKNOWN_HIS, UNSUPPORTED_MESSAGE, LeftAside, Malformed
from fhir_server.mapping.readers import csv, hl7v2
from fhir_server.mapping.types import His, Map, Mappings, Recognised


def recognise(mappings: Mappings, his: str | None, raw: bytes, content_type: str | None = None) -> Recognised:
    """The message in ``raw`` with its HIS and map.

    ``his`` is the folder named by the door (None: found by MSH-3/4); ``content_type`` as the door heard it, its
    charset parameter wins over the message's own. Raises NotSupported (unknown HIS, message or charset: AR),
    Undecodable or Malformed (AE), LeftAside for what the folder ignores on
    purpose. A CSV file of several rows must be split first (``split``).
    """
    media, declared = parse_content_type(content_type)
    if looks_like_hl7(raw, media):
        return _recognise_hl7(mappings, his, raw, declared)
    return _recognise_csv(mappings, _his(mappings, his), raw, declared)


def split(mappings: Mappings, his: str | None, raw: bytes, content_type: str | None = None) -> list[bytes]:
    """The messages in ``raw``, each on its own: the rows of a CSV file (header and row), or the one HL7 v2 message."""
    media, declared = parse_content_type(content_type)
    if looks_like_hl7(raw, media):
        return [raw]
    return csv.split_rows(raw, _his(mappings, his).codec, declared)


def looks_like_hl7(raw: bytes, media: str | None) -> bool:
    """True when the door says HL7 v2, or the bytes begin as such a message does."""
    return media in hl7v2.MEDIA_TYPES or (
        media not in csv.MEDIA_TYPES and raw.removeprefix(b"\xef\xbb\xbf").startswith(b"MSH")
    )


def parse_content_type(text: str | None) -> tuple[str | None, str | None]:
    """``text/csv; charset=GBK`` as (media type in lower case, charset); None for what is not said."""
    media, _, rest = (text or "").partition(";")
    for parameter in rest.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip():
            return media.strip().lower() or None, value.strip().strip('"')
    return media.strip().lower() or None, None


def _his(mappings: Mappings, key: str | None) -> His:
    if key in mappings.faults:
        raise NotSupported(f"the mapping folder {key!r} has faults and was not loaded", rule=UNKNOWN_HIS)
    if key is None or key not in mappings.his:
        known = ", ".join(mappings.his) or "none"
        raise NotSupported(f"no HIS is known by this name; known: {known}", rule=UNKNOWN_HIS)
    return mappings.his[key]


def _recognise_hl7(mappings: Mappings, key: str | None, raw: bytes, declared: str | None) -> Recognised:
    default = mappings.his[key].codec if key is not None and key in mappings.his else "utf-8"
    message = hl7v2.read(raw, default, declared)
    his = _his(mappings, key) if key is not None else his_of(mappings, message.header)
    if key is None and not message.header.charset and not declared:
        message = hl7v2.read(raw, his.codec)
    if not message.control_id:
        raise Malformed("MSH-10 (message control id) is empty", "MSH-10")
    if message.kind in his.ignored:
        raise LeftAside(f"{his.key} leaves messages of the type {message.kind} aside on purpose")
    chosen = next((item for item in mappings.maps[his.key] if message.kind in item.source.messages), None)
    if chosen is None:
        raise _unsupported(mappings, his, f"messages of the type {message.kind[:20]!r}")
    message.groups = chosen.source.groups
    return Recognised(his, chosen, message, raw)


def his_of(mappings: Mappings, header: hl7v2.Header) -> His:
    """The HIS that MSH-3 and MSH-4 name. Raises NotSupported when none does."""
    for his in mappings.his.values():
        if header.facility in his.facilities and (
            not his.applications or header.application in his.applications
        ):
            return his
    raise NotSupported(
        f"no HIS is recognised by MSH-3 {header.application[:40]!r} and MSH-4 {header.facility[:40]!r}",
        rule=UNKNOWN_HIS,
    )


def _recognise_csv(mappings: Mappings, his: His, raw: bytes, declared: str | None) -> Recognised:
    rows = csv.read_rows(raw, his.codec, declared)
    if len(rows) != 1:
        raise Malformed(f"the file has {len(rows)} data rows; each row is a message of its own")
    row = rows[0]
    maps = [item for item in mappings.maps[his.key] if item.source.format == csv.FORMAT]
    chosen = next((item for item in maps if set(item.source.key) <= row.keys()), None)
    if chosen is None:
        raise _unsupported(mappings, his, "a table with these columns")
    _check_columns(chosen, row)
    key = "@".join(row[column].strip() for column in chosen.source.key)
    message = csv.CsvMessage(row, kind=chosen.name, control_id=key, sender=f"{his.uscc}/{chosen.name}")
    return Recognised(his, chosen, message, raw)


def _check_columns(chosen: Map, row: dict[str, str]) -> None:
    missing = [column for column in chosen.source.required_columns if column not in row]
    if missing:
        raise Malformed(f"the header lacks {', '.join(missing)}", "row 1")
    empty = [column for column in chosen.source.key if not row[column].strip()]
    if empty:
        raise Malformed(f"the key of the row is empty: {', '.join(empty)}", empty[0])


def _unsupported(mappings: Mappings, his: His, what: str) -> NotSupported:
    kinds = sorted(
        {kind for item in mappings.maps[his.key] for kind in (item.source.messages or (item.name,))}
    )
    return NotSupported(
        f"{his.key} has no map for {what}; it has {', '.join(kinds)}", rule=UNSUPPORTED_MESSAGE
    )
