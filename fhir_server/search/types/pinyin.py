"""Chinese names by their sound: ``zhangwei`` and ``zw`` find 张伟.

A surname is read as a surname (单 is Shan), from a small table where the usual reading differs.
Source of the readings: pypinyin; the table: 通用规范汉字 surname readings in common use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from typing import Any

from fhir_server.search.types.surnames import SURNAMES

CHINESE = re.compile(r"[㐀-䶿一-鿿豈-﫿\U00020000-\U0003FFFF]+")
MOST = 8
"""A name has at most so many readings in the index; more come only from long runs of ambiguous characters."""

Reading = tuple[str, ...]
"""One syllable per character: ("zhang", "wei")."""


def readings(name: Mapping[str, Any], keys: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """(key, text) for a HumanName's parts: each reading in full and by its initials.

    When there is no text, family and given together stand for it, in characters too.
    """
    family, given = name.get("family") or "", "".join(part for part in name.get("given", ()) if part)
    yield from _part(keys.get("family"), family, "")
    yield from _part(keys.get("given"), "", given)
    whole, key = name.get("text"), keys.get("text")
    if whole is None and key is not None and family and given and _is_chinese(family + given):
        yield key, family + given
    yield from _part(key, *_split(whole, family, given))


def _split(whole: str | None, family: str, given: str) -> tuple[str, str]:
    """The family and given name of the full name; a text without its parts begins with a surname."""
    whole = "".join((whole or family + given).split())
    if family and whole.startswith(family):
        return family, whole[len(family) :]
    length = 2 if whole[:2] in SURNAMES and len(whole) > 2 else 1
    return whole[:length], whole[length:]


def _part(key: int | None, family: str, given: str) -> Iterator[tuple[int, str]]:
    if key is None or not _is_chinese(family + given):
        return
    found: dict[str, None] = {}
    for reading in spoken(family, given):
        found["".join(reading)] = None
        found["".join(syllable[0] for syllable in reading)] = None
    yield from ((key, text) for text in found if text)


def _is_chinese(text: str) -> bool:
    return CHINESE.fullmatch(text) is not None


@lru_cache(maxsize=16_384)
def spoken(family: str, given: str) -> tuple[Reading, ...]:
    """The readings of a name, the most usual first; ü is written v and also u."""
    first = SURNAMES.get(family) or (_usual(family),)
    second = (_usual(given),)
    whole = [one + other for one, other in product(first, second)]
    spelled = [tuple(s.replace("v", "u") for s in reading) for reading in whole]
    return tuple(dict.fromkeys([*whole, *spelled]))[:MOST]


def _usual(text: str) -> Reading:
    """pypinyin is loaded when the first Chinese name is met: it costs 170 ms and 54 MB, and holds the interpreter for
    110 ms in one piece, in a thread too; a server that never meets one does not pay."""
    from pypinyin import Style, lazy_pinyin

    return tuple(lazy_pinyin(text, style=Style.NORMAL, errors="ignore", v_to_u=False))
