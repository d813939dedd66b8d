"""MLLP frames out of a byte stream: ``VT message FS CR``, bounded in size and in time.

FS and CR cannot be part of a Chinese character in GB18030 or UTF-8, so a frame may be found before its
charset is known. A lone FS does not end a frame: a message cut there could still look whole.
Source: HL7 v2.4 Implementation Guide, Appendix C (MLLP).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fhir_server.errors import InvalidContent, TooLarge

START, END = b"\x0b", b"\x1c\r"
MAX_GARBAGE = 4096
"""Bytes that may stand between two frames before the peer is taken for something else than MLLP."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``message`` bytes at most; ``frame`` seconds from its first to its last byte; ``idle`` seconds between frames."""

    message: int = 8 * 2**20
    frame: float = 30.0
    idle: float = 3600.0


class BrokenFrame(InvalidContent):
    """A frame that did not end. ``head`` is its beginning, from which it can still be acknowledged."""

    def __init__(self, text: str, rule: str, head: bytes) -> None:
        self.head = head
        super().__init__(text, rule=rule)


class LongFrame(TooLarge):
    """A frame over the limit."""

    def __init__(self, limit: int, head: bytes) -> None:
        self.head = head
        super().__init__(f"the message is longer than {limit} bytes", rule="FRAME_TOO_LONG")


async def read_frame(reader: asyncio.StreamReader, limits: Limits) -> bytes | None:
    """The next message, None when the peer has closed, has sent nothing for long, or does not speak MLLP.

    ``reader`` was made with ``limit=limits.message``. Raises BrokenFrame (the connection ended or the time was up
    inside a frame) or LongFrame; the connection cannot be used after that.
    """
    if not await _skip_to_start(reader, limits.idle):
        return None
    try:
        async with asyncio.timeout(limits.frame):
            frame = await reader.readuntil(END)
    except asyncio.IncompleteReadError as error:
        text = f"the connection ended after {len(error.partial)} bytes, before the end of the frame (FS CR)"
        raise BrokenFrame(text, "TRUNCATED_FRAME", error.partial) from error
    except asyncio.LimitOverrunError as error:
        raise LongFrame(limits.message, await reader.read(error.consumed)) from error
    except TimeoutError as error:
        text = f"the end of the frame (FS CR) did not come within {limits.frame:g} seconds"
        raise BrokenFrame(text, "FRAME_TIMEOUT", b"") from error
    return frame[: -len(END)]


async def _skip_to_start(reader: asyncio.StreamReader, idle: float) -> bool:
    """Read up to and including VT; False when there is none to come."""
    try:
        async with asyncio.timeout(idle):
            for _ in range(MAX_GARBAGE):
                byte = await reader.read(1)
                if byte in {START, b""}:
                    return byte == START
    except TimeoutError:
        return False
    return False


def frame_of(message: bytes) -> bytes:
    """``message`` as it goes over the wire."""
    return START + message + END
