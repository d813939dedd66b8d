from datetime import UTC, datetime, timedelta

import pytest

from fhir_server.errors import Throttled
from fhir_server.security.throttle import FREE_FAILURES, LONGEST_WAIT, MOST_KEYS, Backoff


class Clock:
    moment = datetime(2026, 3, 2, tzinfo=UTC)

    def __call__(self):
        return self.moment

    def advance(self, seconds):
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


def fail(backoff, times, key="a"):
    for _ in range(times):
        backoff.failed(key)


def test_the_first_failures_are_free(clock):
    backoff = Backoff(clock)
    fail(backoff, FREE_FAILURES - 1)
    backoff.check("a")


def test_then_the_wait_doubles_up_to_a_bound(clock):
    backoff = Backoff(clock)
    fail(backoff, FREE_FAILURES - 1)
    waits = []
    for _ in range(9):
        backoff.failed("a")
        with pytest.raises(Throttled) as caught:
            backoff.check("a")
        waits.append(int(caught.value.headers["Retry-After"]))
        clock.advance(waits[-1])
        backoff.check("a")
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert waits[-1] == LONGEST_WAIT


def test_success_and_other_keys_are_free(clock):
    backoff = Backoff(clock)
    fail(backoff, FREE_FAILURES + 3)
    backoff.check("b")
    backoff.succeeded("a")
    backoff.check("a")


def test_memory_is_bounded_and_the_oldest_key_forgotten(clock):
    backoff = Backoff(clock)
    fail(backoff, FREE_FAILURES, "first")
    for number in range(MOST_KEYS):
        backoff.failed(number)
    backoff.check("first")
    assert len(backoff._tallies) == MOST_KEYS
