"""Why a parameter of a search is not taken; a bad value is a ValueError."""

from __future__ import annotations


class Refusal(Exception):
    """The parameter, its modifier or its form cannot be used here; ``code`` is the issue's."""

    def __init__(self, text: str, code: str = "not-supported") -> None:
        super().__init__(text)
        self.code = code


class Unknown(Refusal):
    """There is no such parameter: lenient handling leaves it out."""
