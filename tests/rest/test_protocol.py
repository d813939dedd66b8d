"""Gathered writes: everything arrives, once, in order, and nothing piles up."""

import asyncio

import pytest

from fhir_server.rest.protocol import MOST_GATHERED, GatheredWrites


class Wire:
    """A transport that remembers what was done with it."""

    def __init__(self):
        self.done = []

    def write(self, data):
        self.done.append(data)

    def writelines(self, parts):
        self.done.append(tuple(parts))

    def close(self):
        self.done.append("close")

    def is_closing(self):
        return "close" in self.done


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
async def gathered(wire):
    return GatheredWrites(wire, asyncio.get_running_loop())


async def test_the_writes_of_one_turn_are_one_write(gathered, wire):
    gathered.write(b"head")
    gathered.write(b"body")
    assert wire.done == []
    await asyncio.sleep(0)
    assert wire.done == [b"headbody"]


async def test_the_next_turn_is_the_next_write(gathered, wire):
    for part in (b"a", b"b"):
        gathered.write(part)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert wire.done == [b"a", b"b"]


async def test_closing_sends_what_was_written_first(gathered, wire):
    gathered.write(b"last")
    gathered.close()
    await asyncio.sleep(0)
    assert wire.done == [b"last", "close"]
    assert gathered.is_closing()


async def test_much_is_passed_on_at_once_uncopied_and_in_order(gathered, wire):
    body = b"x" * MOST_GATHERED
    gathered.write(b"head")
    gathered.write(body)
    assert wire.done == [(b"head", body)]
    assert wire.done[0][1] is body
    gathered.write(b"tail")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert wire.done[1:] == [b"tail"]
