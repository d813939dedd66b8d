"""The acknowledgement of an HL7 v2 message: MSH, MSA and ERR, in the sender's own separators and charset.

It tells the sender the truth and every reason: MSA-1 is AA, AE or AR, MSA-3 one line for people, ERR-1 one
entry per reason with the place in the message, a code of HL7 table 0357 and our own code.
Source: HL7 v2.4 §2.9.2, §2.16 (MSA, ERR), §2.9.3.2 (ELD).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from fhir_server.errors import FhirError, Issue
from fhir_server.inbound.receive import Receipt
from fhir_server.mapping.readers import hl7v2
from fhir_server.mapping.readers.charset import codec_of
from fhir_server.mapping.readers.escapes import Separators, escape

END = b"\r"
MAX_TEXT = 200
MAX_REASONS = 50
_SOURCE = re.compile(r"\b([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?-(\d{1,3})\b")
_CONDITIONS = {
    "MISSING_REQUIRED": ("101", "Required field missing"),
    "BAD_DATE": ("102", "Data type error"),
    "BAD_NUMBER": ("102", "Data type error"),
    "BAD_CHECK_DIGIT": ("102", "Data type error"),
    "UNMAPPED_CODE": ("103", "Table value not found"),
    "BAD_SHAPE": ("100", "Segment sequence error"),
    "UNSUPPORTED_MESSAGE": ("200", "Unsupported message type"),
    "CONTROL_ID_REUSED": ("205", "Duplicate key identifier"),
}
_OTHERWISE = ("207", "Application internal error")
"""Our rule codes in the words of HL7 table 0357; everything else is 207, with our own code beside it."""


def acknowledge(
    raw: bytes, receipt: Receipt, *, now: datetime, new_id: Callable[[], str], default_codec: str = "utf-8"
) -> bytes:
    """The acknowledgement of ``raw``, segments ended by CR. ``now`` has the zone in which the time is told."""
    header = header_of(raw, default_codec)
    signs = header.separators
    errors = [issue for issue in receipt.issues if issue.is_error]
    segments = [_msh(header, now, new_id()), _msa(header, receipt, errors)]
    if receipt.ack != "AA" and errors:
        segments.append(
            signs.field.join(["ERR", signs.repetition.join(_eld(signs, e) for e in errors[:MAX_REASONS])])
        )
    return b"".join(segment.encode(header.codec, "replace") + END for segment in segments)


def header_of(raw: bytes, default_codec: str = "utf-8") -> hl7v2.Header:
    """What MSH says, read as far as it can be: an unreadable message is acknowledged too."""
    try:
        return hl7v2.read(raw, default_codec).header
    except FhirError:
        return _guessed(raw)


def _guessed(raw: bytes) -> hl7v2.Header:
    """MSH by its ASCII: the bytes of the first line, whatever charset the rest is in."""
    line = re.split(rb"[\r\n]", raw.removeprefix(b"\xef\xbb\xbf")[:4096], maxsplit=1)[0]
    fields = line.decode("ascii", "replace").replace("\ufffd", "?").split("|")
    if fields[0] != "MSH":
        fields = ["MSH"]
    at = ["", "", *fields[1:], *[""] * 20]
    charset = at[18].split("~")[0]
    return hl7v2.Header(
        separators=Separators(),
        codec=_codec(charset),
        application=at[3],
        facility=at[4],
        receiving_application=at[5],
        receiving_facility=at[6],
        kind=at[9],
        control_id=at[10],
        processing_id=at[11] or "P",
        version=at[12] or "2.4",
        charset=charset,
    )


def _codec(charset: str) -> str:
    try:
        return codec_of(charset) if charset else "utf-8"
    except FhirError:
        return "utf-8"


def _msh(header: hl7v2.Header, now: datetime, id: str) -> str:
    signs = header.separators
    event = header.kind.partition("^")[2]
    kind = signs.component.join(part for part in ("ACK", escape(event, signs)) if part)
    own = signs.component + signs.repetition + signs.escape + signs.subcomponent
    sides = (header.receiving_application, header.receiving_facility, header.application, header.facility)
    parts = ["MSH", own, *(escape(side, signs) for side in sides), now.strftime("%Y%m%d%H%M%S%z"), "", kind]
    parts += [_short(id), escape(header.processing_id, signs) or "P", escape(header.version, signs) or "2.4"]
    return signs.field.join([*parts, "", "", "", "", "", header.charset]).rstrip(signs.field)


def _short(id: str) -> str:
    """MSH-10 has 20 characters in HL7 v2.4; the end of a UUIDv7 is its random part."""
    return id.replace("-", "")[-20:]


def _msa(header: hl7v2.Header, receipt: Receipt, errors: Sequence[Issue]) -> str:
    signs = header.separators
    return signs.field.join(
        ["MSA", receipt.ack, escape(header.control_id, signs), escape(_summary(receipt, errors), signs)]
    )


def _summary(receipt: Receipt, errors: Sequence[Issue]) -> str:
    if receipt.ack == "AA":
        return receipt.success
    text = errors[0].text if errors else "refused"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    kept = f" [kept as {receipt.id}]" if receipt.id else ""
    return text[: MAX_TEXT - len(more) - len(kept)] + more + kept


def _eld(signs: Separators, issue: Issue) -> str:
    """One entry of ERR-1: segment, its number, field, and the code with its texts."""
    place = _SOURCE.search(f"{issue.diagnostics or ''} {issue.expression or ''}")
    segment, number, field = (place[1], place[2] or "1", place[3]) if place else ("", "", "")
    code, name = _CONDITIONS.get(issue.rule or "", _OTHERWISE)
    own = [issue.rule or issue.code, issue.text[:MAX_TEXT], "L"]
    coded = signs.subcomponent.join(escape(part, signs) for part in (code, name, "HL70357", *own))
    return signs.component.join([segment, number, field, coded])
