"""Texts by their words, for full text search.

A character of a script that is written without spaces (Chinese, also the rarest, and Japanese kana) is a word of its
own, so that any run of characters can be found as words that follow each other. Everything else is letters and digits
up to the next separator. Case, accents and width do not count.
Source: FHIR R4 search.html#text, search.html#content.
"""

from __future__ import annotations

import re
from typing import Final

from fhir_server.search.types.string import fold

_ALONE: Final = (
    "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\ue000-\uf8ff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Private use characters count too: hospitals write rare names with them."""

_WORD: Final = re.compile(f"[{_ALONE}]|[^\\W_{_ALONE}]+")


def words(text: str) -> tuple[str, ...]:
    """The words of ``text`` in order: ("2", "型", "糖", "尿", "病") of "2型糖尿病"."""
    return tuple(_WORD.findall(fold(text)))
