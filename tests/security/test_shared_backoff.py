"""Two servers of one store count the failed logins of a client together."""

import asyncio

import orjson
import pytest

from fhir_server.errors import StoreUnavailable, Throttled
from fhir_server.security import shared_backoff
from fhir_server.security.clients import Clients
from fhir_server.security.shared_backoff import TYPE, Attempt, SharedBackoff
from fhir_server.security.throttle import FREE_FAILURES

HIS = Attempt("his-1", "10.0.0.7")


@pytest.fixture
async def servers(server):
    await Clients(server.store, server.now, server.new_id).add("Organization/h1", "", id="his-1")
    return [SharedBackoff(server.store, server.now) for _ in range(2)]


async def fail(servers, attempt, times):
    for number in range(times):
        each = servers[number % len(servers)]
        await each.check(attempt)
        await each.failed(attempt)
        await each.close()


async def waits(backoff, attempt):
    try:
        await backoff.check(attempt)
    except Throttled as error:
        return int(error.headers["Retry-After"])
    return 0


async def test_failures_at_one_server_count_at_the_other(servers, clock):
    await fail(servers, HIS, FREE_FAILURES)
    assert [await waits(each, HIS) for each in servers] == [1, 1]
    clock.advance(seconds=1)
    await fail(servers, HIS, 1)
    assert [await waits(each, HIS) for each in servers] == [2, 2]


async def test_other_addresses_and_other_clients_need_not_wait(servers):
    await fail(servers, HIS, FREE_FAILURES)
    assert await waits(servers[1], Attempt("his-1", "10.0.0.8")) == 0
    assert await waits(servers[1], Attempt("his-2", "10.0.0.7")) == 0


async def test_success_at_one_server_counts_at_the_other(servers, clock):
    await fail(servers, HIS, FREE_FAILURES)
    clock.advance(seconds=1)
    await servers[0].succeeded(HIS)
    await fail([servers[0]], HIS, FREE_FAILURES - 1)
    assert await waits(servers[1], HIS) == 0


@pytest.mark.parametrize("name", ["nobody", "not a name", "x" * 10_000, ""])
async def test_names_that_no_client_has_leave_nothing_in_the_store(servers, server, name):
    await fail(servers[:1], Attempt(name, "10.0.0.7"), FREE_FAILURES)
    assert await waits(servers[0], Attempt(name, "10.0.0.7")) == 1
    assert (await server.store.history(TYPE)).records == ()


async def test_what_is_kept_is_bounded_and_forgotten_in_time(servers, server, clock, monkeypatch):
    monkeypatch.setattr(shared_backoff, "MOST_ADDRESSES", 3)
    for number in range(5):
        await fail(servers, Attempt("his-1", f"10.0.0.{number}"), 1)
    (record,) = (await server.store.history(TYPE)).records
    assert list(orjson.loads(record.content)) == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    clock.advance(hours=2)
    await fail(servers, HIS, 1)
    (record,) = (await server.store.history(TYPE)).records
    assert list(orjson.loads(record.content)) == ["10.0.0.7"]


async def test_a_store_that_cannot_be_written_leaves_the_count_of_the_process(servers, server, monkeypatch):
    def away():
        raise StoreUnavailable("away")

    monkeypatch.setattr(server.store, "transaction", away)
    await fail(servers[:1], HIS, FREE_FAILURES)
    assert [await waits(each, HIS) for each in servers] == [1, 0]


async def test_a_flood_does_not_pile_up(servers, monkeypatch):
    monkeypatch.setattr(shared_backoff, "MOST_UNTOLD", 4)
    for number in range(20):
        await servers[0].failed(Attempt("his-1", f"10.0.0.{number}"))
    assert len(servers[0]._telling) == 4
    await servers[0].close()
    await asyncio.sleep(0)
    assert not servers[0]._telling
