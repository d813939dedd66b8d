"""What is kept of a resource for searching: plain rows, the same for every store.

A row's ``key`` is the stable 31-bit number of one *arm* (``registry.arm_key(type, path, kind)``):
one path of a SearchParameter's expression, stored once however many parameters use it. A
parameter reads one or several keys (``SearchParameter.keys``), so ``combo-code`` is ``code`` and
``component-code`` together, ``name`` is family, given, text …, and nothing is stored twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

NARRATIVE: Final = -1
CONTENT: Final = -2
"""The keys of texts that belong to no arm: ``_text`` and ``_content``."""

OPEN_LOW, OPEN_HIGH = -(2**62), 2**62
"""The ends of a period that has no start or no end: before and after every date."""


class TokenRow(NamedTuple):
    """``system`` is "" when there is none, ``code`` "" when only a system is known.

    ``code`` is folded (``search.types.token.fold_code``) in the rows of FHIR resources.
    """

    key: int
    code: str
    system: str


class ReferenceRow(NamedTuple):
    """A literal reference: type and id; a URL elsewhere or a canonical: type "" and the URL.

    A reference to a version has two rows: without it, and with it in the id (``1/_history/2``, ``http://x|1.0``).
    """

    key: int
    id: str
    type: str


class UriRow(NamedTuple):
    """A uri as it stands; a canonical with a version also without it."""

    key: int
    uri: str


class StringRow(NamedTuple):
    """``text`` is normalised (search.types.string.normalise), ``exact`` as it stands.

    ``edge``: 1 = least, 2 = greatest of its key, 3 = both, 0 = neither.

    ``pinyin`` rows have ``exact`` "": they answer starts-with searches only.
    """

    key: int
    text: str
    exact: str
    edge: int


class DateRow(NamedTuple):
    """``[low, high)`` in microseconds since 1970 UTC; ``edge`` as in StringRow."""

    key: int
    low: int
    high: int
    edge: int


class NumberRow(NamedTuple):
    """A number (system and code "") or a quantity; ``low`` = ``high`` for a plain value, ±inf for an open side."""

    key: int
    low: float
    high: float
    system: str
    code: str
    edge: int


class CompositeRow(NamedTuple):
    """One combination. ``parts`` are rows of the kinds above (their ``key`` is 0), in component order."""

    key: int
    parts: tuple[NamedTuple, ...]


class PositionRow(NamedTuple):
    """Degrees."""

    key: int
    latitude: float
    longitude: float


class TextRow(NamedTuple):
    """One text by its words (``search.types.words``): the display of a code under the key of its arm, the narrative
    under NARRATIVE, each string of the content under CONTENT."""

    key: int
    words: tuple[str, ...]


def no_texts() -> Sequence[TextRow]:
    """Of a resource that has no texts to be searched."""
    return ()


@dataclass(slots=True)
class IndexValues:
    """All rows of one resource. ``date`` is its primary clinical date (microseconds; 0 when it has none).

    ``texts`` gives what full text search looks at; it is called only when it is needed, because it costs more than
    all the rows.
    """

    date: int = 0
    tokens: list[TokenRow] = field(default_factory=list)
    references: list[ReferenceRow] = field(default_factory=list)
    uris: list[UriRow] = field(default_factory=list)
    strings: list[StringRow] = field(default_factory=list)
    dates: list[DateRow] = field(default_factory=list)
    numbers: list[NumberRow] = field(default_factory=list)
    composites: list[CompositeRow] = field(default_factory=list)
    positions: list[PositionRow] = field(default_factory=list)
    texts: Callable[[], Sequence[TextRow]] = field(default=no_texts, compare=False, repr=False)
