"""What of a resource is kept so that it can be found: the same in every engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from operator import itemgetter
from typing import Final

from fhir_server.search.index import IndexValues

_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


def exact_form(text: str, exact: str) -> str:
    """How ``exact`` is kept beside ``text``: "" for pinyin, "=" when both are the same, else "=" and the text."""
    if not exact:
        return ""
    return "=" if exact == text else f"={exact}"


def chinese_runs(text: str) -> list[str]:
    """The stretches of Chinese characters in ``text``."""
    return [] if text.isascii() else _CHINESE.findall(text)


def grams(text: str) -> Iterator[str]:
    """Every two neighbouring Chinese characters, and the last one of each stretch alone.

    So two characters are one exact key, and one character is a prefix of keys.
    """
    for run in chinese_runs(text):
        yield from (run[place : place + 2] for place in range(len(run)))


def keys_of(values: IndexValues) -> tuple[int, ...]:
    """The arms that have a value, in order: the shape of the resource."""
    rows = chain(
        values.tokens,
        values.references,
        values.uris,
        values.strings,
        values.dates,
        values.numbers,
        values.composites,
        values.positions,
    )
    return tuple(sorted(set(map(_key, rows))))


_key: Final = itemgetter(0)
