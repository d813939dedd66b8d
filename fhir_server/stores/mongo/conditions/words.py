"""``_text``, ``_content`` and ``:text``: words in the index of texts, which is a collection of its own.

What has the words is named by its sequences when it is little; when it is much, each candidate is looked up.
Source: FHIR R4 search.html#text, #content, #modifiers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhir_server.search.query import Clause, TextValue
from fhir_server.stores.mongo.conditions.parts import Filter, Test, all_filter, between
from fhir_server.stores.mongo.fields import AFTER
from fhir_server.stores.mongo.fulltext import marked, pair, require_texts
from fhir_server.stores.mongo.view import View

NAMED: Final = 2_000
"""Versions that are named one by one; more are tested."""


async def compile_words(view: View, type: str, clause: Clause, names: Iterator[int]) -> Test:
    """Texts with the words of a value, one after the other. Raises TextsBehind when the index must be built first."""
    await require_texts(view)
    phrases = [_phrase(key, value) for key in clause.parameter.keys for value in clause.values]
    found: Filter = {"t": type, **(phrases[0] if len(phrases) == 1 else {"$or": phrases})}
    few = await view.find("text", found, projection={"_id": 0, "s": 1}, limit=NAMED + 1)
    if len(few) <= NAMED:
        return Test({"s": {"$in": list({row["s"] for row in few})}})
    name = f"t{next(names)}"
    look = {
        "from": "text",
        "localField": "s",
        "foreignField": "s",
        "pipeline": [{"$match": found}, {"$limit": 1}, {"$project": {"_id": 1}}],
        "as": name,
    }
    return Test({name: {"$ne": []}}, stages=({"$lookup": look},), depth=1)


def _phrase(key: int, value: TextValue) -> Filter:
    """Every two neighbouring words are there; three and more must also stand together."""
    *before, last = value.words
    mark = marked(key)
    pairs = [pair(mark, *two) for two in zip(before, value.words[1:], strict=True)]
    if not pairs:
        ends = last if value.open else f"{last} "
        return {"w": between(f"{mark}{ends}", f"{mark}{ends}{AFTER}")}
    whole: list[Filter] = [{"w": each} for each in pairs[:-1]]
    whole.append({"w": between(pairs[-1], pairs[-1] + AFTER)} if value.open else {"w": pairs[-1]})
    if len(pairs) > 1:
        whole.append(_together(mark, value))
    return all_filter(whole)


def _together(mark: str, value: TextValue) -> Filter:
    """Some text has the words one after the other. No index helps; the pairs have found little."""
    words = f" {' '.join(value.words)}{'' if value.open else ' '}"
    holds: list[Any] = [
        {"$eq": [{"$substrBytes": ["$$this", 0, len(mark)]}, mark]},
        {"$gte": [{"$indexOfBytes": ["$$this", {"$literal": words}]}, 0]},
    ]
    return {"$expr": {"$anyElementTrue": {"$map": {"input": "$x", "in": {"$and": holds}}}}}
