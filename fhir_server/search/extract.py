"""Resource → index rows: all paths of a type merged into one tree, the resource walked once.

The tree is made of closures: one per JSON object that has something to be found in it. Only paths that need a
predicate or a computation use FHIRPath.
Source: FHIR R4 search.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import tzinfo
from functools import lru_cache, partial
from hashlib import blake2b
from operator import attrgetter, call
from typing import Any

import msgspec
import orjson
from msgspec.structs import astuple

from fhir_server.definitions import Definitions
from fhir_server.search.branches import Branch, Emitters, grow, prune
from fhir_server.search.composites import composites
from fhir_server.search.index import OPEN_LOW, DateRow, IndexValues, NumberRow, ReferenceRow, StringRow
from fhir_server.search.registry import Arm, Registry
from fhir_server.search.texts import Texts
from fhir_server.search.types.base import Emit, Rows
from fhir_server.search.walking import walker

RULES = 5
"""To be raised when this program comes to make other rows of the same resource; stores are then indexed again."""

MOST_FOLLOWED = 1024
"""Combinations of arms that ``Extractor.references`` keeps compiled."""
MOST_READ = 4096
"""Resources whose references are remembered: what stands on a page that is opened again and again."""
SHORT = 8192
"""Bytes of content that is worth remembering."""

VERSION = "/_history/"
"""What stands between a resource's id and its version."""

Json = dict[str, Any]
Extract = Callable[[Json], IndexValues]
References = Callable[[bytes], Sequence[tuple[ReferenceRow, int]]]
_new: Any = tuple.__new__
_ADDRESS = re.compile(
    r"\b(id|versionId|lastUpdated|children|descendants|repeat)\b|\bmeta\b(?!\.(profile|tag|security|source)\b)"
)
"""What an expression says that may look at what is set when a resource is kept."""


class Extractor:
    """Call it with a resource's JSON to get its ``IndexValues``. Compiled per type when a type is first met.

    ``zone`` is that of dates without one; ``base_url``, when it is known, makes absolute references to this
    server the same as relative ones. Raises KeyError for a type that is not R4's.
    """

    def __init__(
        self, registry: Registry, definitions: Definitions, zone: tzinfo, base_url: str | None = None
    ) -> None:
        self.registry = registry
        self.definitions = definitions
        self.emitters = Emitters(zone, base_url)
        self._zone = zone
        self._base_url = base_url
        self._revision = registry.revision
        self._texts = Texts(registry)
        self._compiled: dict[str, Extract] = {}
        self._following: dict[tuple[str, frozenset[int]], References] = {}
        self._addressed: dict[str, bool] = {}
        self._recall = lru_cache(maxsize=MOST_READ)(call)

    def __call__(self, data: Json) -> IndexValues:
        """The rows of the resource ``data``."""
        self._renew()
        type = data["resourceType"]
        extract = self._compiled.get(type)
        if extract is None:
            extract = self._compiled[type] = self._compile(type)
        return extract(data)

    def references(self, type: str, keys: frozenset[int]) -> References:
        """What gives the references of the arms ``keys`` alone, of the JSON of a ``type``: their rows, and the
        version that each names (0: none)."""
        self._renew()
        known = self._following.get((type, keys))
        if known is None:
            if len(self._following) >= MOST_FOLLOWED:
                self._following.clear()
            known = self._following[type, keys] = self._follow(type, keys)
        return known

    def needs_address(self, type: str) -> bool:
        """True when the rows of a ``type`` may depend on the id, the version or the time that it is kept with."""
        self._renew()
        known = self._addressed.get(type)
        if known is None:
            parameters = self.registry.parameters(type).values()
            known = self._addressed[type] = any(
                not each.column and _ADDRESS.search(each.expression) is not None for each in parameters
            )
        return known

    def _renew(self) -> None:
        """Forget what was compiled for parameters that have changed since."""
        if self._revision != self.registry.revision:
            self._compiled.clear()
            self._following.clear()
            self._addressed.clear()
            self._revision = self.registry.revision

    def _follow(self, type: str, keys: frozenset[int]) -> References:
        root = Branch()
        for key, arm in self.registry.arms(type).items():
            if key in keys:
                grow(self.registry.model, self.emitters, root, type, arm)
        read, walk = _reader(prune(root)), walker(root)

        def find(content: bytes) -> Sequence[tuple[ReferenceRow, int]]:
            data = read(content)
            rows = Rows(data)
            walk(data, rows)
            return _versioned(rows.references)

        def follow(content: bytes) -> Sequence[tuple[ReferenceRow, int]]:
            return self._recall(find, content) if len(content) <= SHORT else find(content)

        return follow

    def fingerprint(self) -> str:
        """Changes when an arm of R4 would give other rows: another zone or base address, a definition of R4 that
        the profiles folder replaces, or RULES. Arms that are added or go are no matter: they are indexed apart."""
        standard = {each.url for each in self.definitions.standard_search_parameters}
        own = self.definitions.own_search_parameters
        replaced = sorted((each for each in own if each.url in standard), key=attrgetter("url"))
        said = [RULES, str(self._zone), self._base_url, list(map(astuple, replaced))]
        return blake2b(orjson.dumps(said), digest_size=16).hexdigest()

    def _compile(self, type: str) -> Extract:
        model, root = self.registry.model, Branch()
        bases: dict[str, list[Arm]] = {}
        for arm in self.registry.arms(type).values():
            if arm.kind == "composite":
                bases.setdefault(str(arm.path), []).append(arm)
            else:
                grow(model, self.emitters, root, type, arm)
        for arms in bases.values():
            grow(model, self.emitters, root, type, arms[0], composites(model, self.emitters, arms))
        return _extract(walker(prune(root)), self.registry.primary_dates(type), self._texts)


def _reader(root: Branch) -> Callable[[bytes], Json]:
    """What reads of a resource's JSON the members that ``root`` leads to, and all of it where it looks at the whole."""
    if root.emits or root.doors or root.names:
        return orjson.loads
    names = sorted({name for name, _ in root.edges})
    own = {f"member{place}": name for place, name in enumerate(names)}
    fields = [(field, Any, msgspec.UNSET) for field in own]
    decode = msgspec.json.Decoder(msgspec.defstruct("Members", fields, rename=own)).decode

    def read(content: bytes) -> Json:
        found = decode(content)
        members = ((name, getattr(found, field)) for field, name in own.items())
        return {name: value for name, value in members if value is not msgspec.UNSET}

    return read


def _extract(walk: Emit, primary: Sequence[Sequence[int]], texts: Texts) -> Extract:
    def extract(data: Json) -> IndexValues:
        rows = Rows(data)
        walk(data, rows)
        return IndexValues(
            _primary_date(rows.dates, primary) if rows.dates else 0,
            _once(rows.tokens),
            _once(rows.references),
            _once(rows.uris),
            _strings(_once(rows.strings)) if rows.strings else [],
            _dates(_once(rows.dates)) if rows.dates else [],
            _numbers(_once(rows.numbers)) if rows.numbers else [],
            _once(rows.composites),
            rows.positions,
            partial(texts, data),
        )

    return extract


def _once(rows: list[Any]) -> list[Any]:
    return list(dict.fromkeys(rows)) if len(rows) > 1 else rows


def _primary_date(dates: Sequence[tuple[int, int, int]], primary: Sequence[Sequence[int]]) -> int:
    """The latest value of the first parameter that has one: its start, or its end when the start is open."""
    for keys in primary:
        found = [high if low == OPEN_LOW else low for key, low, high in dates if key in keys]
        if found:
            return max(found)
    return 0


# ── edges ─────────────────────────────────────────────────────────────────────


def edges(keyed: Sequence[tuple[int, Any, Any]]) -> list[int]:
    """For each (key, low, high): 1 when it has the least low of its key, 2 the greatest high, 3 both, else 0.

    Exactly one row of a key has each of the two.
    """
    if len(keyed) == 1:
        return [3]
    least: dict[int, int] = {}
    most: dict[int, int] = {}
    for at, (key, low, high) in enumerate(keyed):
        if key not in least:
            least[key] = most[key] = at
            continue
        if low < keyed[least[key]][1]:
            least[key] = at
        if high > keyed[most[key]][2]:
            most[key] = at
    found = [0] * len(keyed)
    for at in least.values():
        found[at] = 1
    for at in most.values():
        found[at] += 2
    return found


def _strings(rows: Sequence[tuple[int, str, str, bool]]) -> list[StringRow]:
    """Pinyin and the like do not take part in the order."""
    plain = [row for row in rows if row[3]]
    marks = edges([(key, text, text) for key, text, _, _ in plain])
    found: list[StringRow] = [
        _new(StringRow, (*row[:3], mark)) for row, mark in zip(plain, marks, strict=True)
    ]
    if len(plain) < len(rows):
        found += [StringRow(key, text, exact, 0) for key, text, exact, counts in rows if not counts]
    return found


def _dates(rows: Sequence[tuple[int, int, int]]) -> list[DateRow]:
    if len(rows) == 1:
        return [_new(DateRow, (*rows[0], 3))]
    return [_new(DateRow, (*row, mark)) for row, mark in zip(rows, edges(rows), strict=True)]


def _numbers(rows: Sequence[tuple[int, float, float, str, str]]) -> list[NumberRow]:
    if len(rows) == 1:
        return [_new(NumberRow, (*rows[0], 3))]
    marks = edges([row[:3] for row in rows])
    return [_new(NumberRow, (*row, mark)) for row, mark in zip(rows, marks, strict=True)]


__all__ = ["Extract", "Extractor", "References", "edges"]


def _versioned(rows: Sequence[ReferenceRow]) -> Sequence[tuple[ReferenceRow, int]]:
    """Each reference once: one that names a version has a row without it, and then one with it."""
    found: list[tuple[ReferenceRow, int]] = []
    for row in rows:
        last = found[-1][0] if found and VERSION in row.id else None
        if last is not None and row.id.startswith(last.id + VERSION):
            number = row.id.rpartition("/")[2]
            found[-1] = last, int(number) if number.isascii() and number.isdigit() else 0
        else:
            found.append((row, 0))
    return tuple(found)
