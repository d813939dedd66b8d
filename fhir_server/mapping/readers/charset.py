"""Bytes to text, strictly: the charset's local name, the first wrong byte, never a replacement character.

GBK, GB2312 and CP936 are read as GB18030, which contains them (reference: domain.md §6.0).
"""

from __future__ import annotations

import re

from fhir_server.errors import NotSupported
from fhir_server.mapping.faults import UNSUPPORTED_CHARSET, Undecodable

CODECS = {
    "GBK": "gb18030",
    "GB2312": "gb18030",
    "GB18030": "gb18030",
    "GB180302000": "gb18030",
    "CP936": "gb18030",
    "MS936": "gb18030",
    "UTF8": "utf-8",
    "UNICODEUTF8": "utf-8",
    "ASCII": "ascii",
    "USASCII": "ascii",
    "88591": "iso8859-1",
    "ISO88591": "iso8859-1",
}
_UTF8_HAN = re.compile(rb"[\xe4-\xe9][\x80-\xbf]{2}")


def codec_of(name: str) -> str:
    """Python's codec for a charset as HL7 table 0211 and HIS vendors write it. Raises NotSupported."""
    key = re.sub(r"[^A-Z0-9]", "", name.upper())
    if key not in CODECS:
        raise NotSupported(
            f"the charset {name[:20]!r} is not read here; allowed are GB18030 (GBK, GB2312, CP936), UTF-8 and ASCII",
            rule=UNSUPPORTED_CHARSET,
        )
    return CODECS[key]


def decode(raw: bytes, codec: str) -> str:
    """The text of ``raw``. Raises Undecodable with the offset of the first wrong byte.

    Chinese text in UTF-8 is often also formally valid GB18030, and would be read as other characters without
    any error; so bytes that are whole UTF-8 with Han characters are refused under a GB charset.
    """
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError as error:
        raise Undecodable(
            f"byte {error.start} (0x{raw[error.start]:02X}) is not {codec.upper()}: {error.reason}",
            error.start,
        ) from error
    if codec == "gb18030" and _is_utf8_han(raw):
        offset = next(at for at, byte in enumerate(raw) if byte > 0x7F)
        raise Undecodable(
            f"the charset said is {codec.upper()}, but the bytes are UTF-8 (from byte {offset})", offset
        )
    return text.removeprefix("\ufeff")


def _is_utf8_han(raw: bytes) -> bool:
    if not _UTF8_HAN.search(raw):
        return False
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
