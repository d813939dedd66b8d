"""The index of texts: the collection ``text``, built when it is first needed and brought up to date before each search
that needs it (``stores.texts``).

A document has the texts of one version of a resource, by their words: every two neighbouring words and the last one, so
that a word is the beginning of an entry and two words are one; and each text whole, for longer phrases. A version with
very many words has several documents, which overlap as far as the longest phrase. The state has the sequence up to
which the index goes. Words of a display begin with the key of their arm, so that one index serves all parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from time import monotonic
from typing import Any, Final

from fhir_server.search.contained import is_contained
from fhir_server.search.index import IndexValues, TextRow
from fhir_server.search.types.fulltext import MOST_WORDS
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.session import Session
from fhir_server.stores.mongo.view import View
from fhir_server.stores.texts import TextsBehind

Extract = Callable[[str, bytes], IndexValues]

AT_ONCE: Final = 100
"""Writes read by one call."""
TOGETHER: Final = 20_000
"""Words of one document."""

_WRITE: Final = {"t": 1, "i": 1, "s": 1, "m": 1, "p": 1, "z": 1}


def marked(key: int) -> str:
    """What the words of a display of the arm ``key`` begin with, or those of a narrative, or of a content."""
    return f"{key & 0xFFFFFFFF:08x}"


def pair(mark: str, word: str, following: str) -> str:
    """The entry of two neighbouring words; ``following`` "" after the last."""
    return f"{mark}{word} {following}"


# ── how far it goes ───────────────────────────────────────────────────────────


async def behind(view: View) -> int:
    """How many writes the index does not know yet; at least one when there is no index."""
    state = (await view.find("state", {"_id": "store"}, projection={"s": 1, "x": 1}, limit=1))[0]
    reached: int | None = state.get("x")
    left: int = max(state["s"], 1) if reached is None else state["s"] - reached
    return left


async def require_texts(view: View) -> None:
    """Raise TextsBehind unless the index knows everything that ``view`` sees."""
    if await behind(view) > 0:
        raise TextsBehind


async def forget_texts(session: Session) -> None:
    """Have everything indexed anew when it is next needed: what is said under which key has changed."""
    await _reach(session, None)


async def drop_texts(session: Session, type: str, id: str) -> None:
    """Take what is indexed of a resource out."""
    await _delete(session, {"r": f"{type}/{id}"})


async def drop_old_texts(session: Session, type: str, id: str) -> None:
    """Take what is indexed of the past versions of a resource out."""
    current = {"find": "resource", "filter": {"_id": f"{type}/{id}"}, "projection": {"s": 1}}
    kept = [row["s"] for row in await session.ask(current)]
    await _delete(session, {"r": f"{type}/{id}", "s": {"$nin": kept}})


# ── building ──────────────────────────────────────────────────────────────────


async def index_writes(session: Session, view: View, blobs: Blobs, extract: Extract, seconds: float) -> int:
    """Index writes for so long, at least one, in the open transaction; how many are left."""
    deadline = monotonic() + seconds
    state = (await view.find("state", {"_id": "store"}, projection={"s": 1, "x": 1}, limit=1))[0]
    reached, newest = state.get("x") or 0, state["s"]
    while True:
        rows = await _written_after(view, reached)
        reached = await _index(session, blobs, extract, rows, deadline) if rows else newest
        if reached >= newest or monotonic() > deadline:
            await _reach(session, reached)
            return newest - reached if reached else 0


async def _written_after(view: View, sequence: int) -> list[Document]:
    return await view.find(
        "resource", {"s": {"$gt": sequence}}, projection=_WRITE, sort={"s": 1}, limit=AT_ONCE, hint="change"
    )


async def _index(
    session: Session, blobs: Blobs, extract: Extract, rows: Sequence[Document], deadline: float
) -> int:
    """Bring ``rows``, until the ``deadline``, into the index; the sequence of the last one."""
    made: list[Document] = []
    done: list[Document] = []
    for row in rows:
        done.append(row)
        if row["m"] > 0 and (is_contained(row["t"]) or not row["t"].startswith("_")):
            made += documents_of(row, extract(row["t"], blobs.decompress(row["z"])).texts())
        if monotonic() > deadline:
            break
    await _delete(session, {"r": {"$in": [row["_id"] for row in done]}})
    if made:
        await session.run({"insert": "text", "documents": made})
    last: int = done[-1]["s"]
    return last


def documents_of(row: Document, texts: Iterable[TextRow]) -> Iterator[Document]:
    """The documents of a version: the document ``row`` of its resource, and its ``texts``."""
    entries: list[str] = []
    lines: list[str] = []
    count = 0
    for key, words in texts:
        for some in _divided(words):
            if count and count + len(some) > TOGETHER:
                yield _document(row, entries, lines)
                entries, lines, count = [], [], 0
            mark = marked(key)
            entries += [pair(mark, *two) for two in pairwise((*some, ""))]
            lines.append(f"{mark} {' '.join(some)} ")
            count += len(some)
    if count:
        yield _document(row, entries, lines)


def _divided(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """``words`` in pieces that overlap, so that every phrase is whole in one."""
    yield words[:TOGETHER]
    for start in range(TOGETHER - MOST_WORDS, len(words) - MOST_WORDS, TOGETHER - MOST_WORDS):
        yield words[start : start + TOGETHER]


def _document(row: Document, entries: Sequence[str], lines: Sequence[str]) -> Document:
    kept = {"w": list(dict.fromkeys(entries)), "x": [line for line in lines if line.count(" ") > 3]}
    return {"s": row["s"], "t": row["t"], "r": row["_id"], "p": row["p"], **kept}


async def _reach(session: Session, sequence: int | None) -> None:
    change: dict[str, Any] = {"$unset": {"x": ""}} if sequence is None else {"$set": {"x": sequence}}
    await session.run({"update": "state", "updates": [{"q": {"_id": "store"}, "u": change}]})


async def _delete(session: Session, wanted: Document) -> None:
    await session.run({"delete": "text", "deletes": [{"q": wanted, "limit": 0}]})
