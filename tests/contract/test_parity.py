"""Clients cannot tell the two engines apart: random writes, then random questions, get the same answers of both.

Two whole servers, one on a SQLite file and one on a MongoDB database, have the same clock and give the same ids. All
that they answer must be equal: the status, every header and every byte of the body. Exempted are

- the text of ``_cursor`` in links, and with it ``content-length``: a cursor says where a page begins by numbers that an
  engine gives to its rows as it likes. Each server's own links are followed to the end instead, while others write.
- ``x-request-id``, which a server makes at random.
- 503 while texts are indexed in the background: it is asked again, as the answer says.

Resources are random and need not be valid, so nothing is validated here. Of each kind of search there is one that
surely finds something (``parity_aims``); ``test_parity_spoiled`` shows that this finds an engine that errs in one kind
only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from parity_examples import Example, examples, play
from parity_kit import Pair, running_pair
from property import new_examples, same_examples, shrinking_for


@pytest.fixture
async def pair(tmp_path: Path, mongo_url: str) -> AsyncIterator[Pair]:
    async with running_pair(tmp_path, mongo_url) as found:
        yield found


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """An example takes half a second: in this time the smallest is not found, but one that can be read."""
    with shrinking_for(45):
        yield


@same_examples(24)
@given(example=examples())
async def test_the_engines_answer_the_same(pair: Pair, example: Example) -> None:
    await play(pair, example)


@pytest.mark.long
@new_examples(1_500)
@given(example=examples())
async def test_the_engines_answer_the_same_long(pair: Pair, example: Example) -> None:
    await play(pair, example)
