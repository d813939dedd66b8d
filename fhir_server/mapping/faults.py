"""What can be wrong with a message, each fault with a stable code for the person and the machine.

No text holds a value of the message except an unmapped code: a name or a birth date in a quarantine
list would be a leak.
"""

from __future__ import annotations

import re

from fhir_server.errors import FhirError, Unprocessable

BAD_BYTES = "BAD_BYTES"
BAD_SHAPE = "BAD_SHAPE"
MISSING_REQUIRED = "MISSING_REQUIRED"
UNMAPPED_CODE = "UNMAPPED_CODE"
BAD_DATE = "BAD_DATE"
BAD_NUMBER = "BAD_NUMBER"
BAD_CHECK_DIGIT = "BAD_CHECK_DIGIT"
COLLISION = "COLLISION"
UNKNOWN_HIS = "UNKNOWN_HIS"
UNSUPPORTED_MESSAGE = "UNSUPPORTED_MESSAGE"
UNSUPPORTED_CHARSET = "UNSUPPORTED_CHARSET"


class LeftAside(FhirError):
    """The HIS's folder says that messages of this kind are not wanted (``ignore_messages``): no fault of anybody."""

    status, code, ack = 200, "informational", "AA"


class Untranslatable(Unprocessable):
    """The message was understood as far as its shape goes, but cannot become resources: every reason at once."""


class Undecodable(Unprocessable):
    """The bytes are not text in the charset they claim; ``offset`` is the first byte that is wrong."""

    def __init__(self, text: str, offset: int) -> None:
        self.offset = offset
        super().__init__(text, code="structure", rule=BAD_BYTES, diagnostics=f"byte offset {offset}")


class Malformed(Unprocessable):
    """The text is not a message of the format: what was expected, and where."""

    def __init__(self, text: str, at: str | None = None) -> None:
        super().__init__(text, code="structure", rule=BAD_SHAPE, expression=at)


class StepFault(Exception):
    """One field could not be read; the translation notes it and goes on with the next field."""

    def __init__(self, rule: str, code: str, text: str) -> None:
        self.rule = rule
        self.code = code
        self.text = text
        super().__init__(text)


def shape(text: str) -> str:
    """The form of ``text`` without its content: ``1958/3/15`` gives ``9999/9/99``."""
    form = re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text[:40]))
    return form if len(text) <= 40 else f"{form}…"
