"""What is wrong with an expression, and where."""

from __future__ import annotations

from fhir_server.errors import Unprocessable


class ExpressionError(Unprocessable):
    """A FHIRPath expression that cannot be read, compiled or evaluated.

    ``source`` is the expression's text, ``position`` the offset of the fault in it (characters from 0),
    ``cause`` what is wrong there.
    """

    code = "invalid"

    def __init__(self, source: str, position: int, cause: str) -> None:
        self.source = source
        self.position = position
        self.cause = cause
        super().__init__(f"FHIRPath: {cause} at position {position} of {source!r}")
