"""Who sent a message and what he calls it: enough to keep it, even when it cannot be read.

With the sender's own number (HL7 v2 MSH-10, the key of a row) a message is the same whenever it is
sent again. Bytes that hide their number are named by their digest, so a corrected one is another message.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from fhir_server.errors import FhirError
from fhir_server.mapping.readers import hl7v2
from fhir_server.mapping.recognise import his_of, looks_like_hl7, parse_content_type, recognise
from fhir_server.mapping.types import Mappings, Recognised

UNKNOWN = "unknown"
"""The HIS of a message that no mapping folder is for."""


@dataclass(frozen=True, slots=True)
class Identity:
    """``his`` is the mapping folder; ``recognised`` None when ``fault`` says why the message cannot be read on."""

    his: str
    sender: str
    control: str
    kind: str
    recognised: Recognised | None
    fault: FhirError | None

    @property
    def key(self) -> str:
        """The id under which the journal keeps the message."""
        return _digest(self.his, self.sender, self.control)

    def key_of(self, raw: bytes) -> str:
        """The id for other bytes under the same number."""
        return _digest(self.his, self.sender, self.control, digest_of(raw))


def identify(mappings: Mappings, his: str | None, raw: bytes, content_type: str | None = None) -> Identity:
    """The identity of ``raw``, whatever state it is in. Pure: nothing is read from the store or written."""
    try:
        found = recognise(mappings, his, raw, content_type)
    except FhirError as fault:
        return _unread(mappings, his, raw, content_type, fault)
    return Identity(found.his.key, found.sender, found.control_id, found.kind, found, None)


def digest_of(raw: bytes) -> str:
    """The SHA-256 of a message, hexadecimal."""
    return sha256(raw).hexdigest()


def _unread(
    mappings: Mappings, his: str | None, raw: bytes, content_type: str | None, fault: FhirError
) -> Identity:
    media, _ = parse_content_type(content_type)
    header = _header(mappings, his, raw) if looks_like_hl7(raw, media) else None
    key = his if his is not None and his in mappings.his else _his_key(mappings, header)
    if header is None or not header.control_id:
        return Identity(key, "", digest_of(raw), "", None, fault)
    sender = f"{header.facility}/{header.application}"
    return Identity(key, sender, header.control_id, header.kind, None, fault)


def _header(mappings: Mappings, his: str | None, raw: bytes) -> hl7v2.Header | None:
    try:
        known = mappings.his.get(his or "")
        return hl7v2.read(raw, known.codec if known else "utf-8").header
    except FhirError:
        return None


def _his_key(mappings: Mappings, header: hl7v2.Header | None) -> str:
    try:
        return his_of(mappings, header).key if header else UNKNOWN
    except FhirError:
        return UNKNOWN


def _digest(*parts: str) -> str:
    return sha256("\x1f".join(parts).encode()).hexdigest()[:40]
