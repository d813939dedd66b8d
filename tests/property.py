"""Settings of property tests: the same examples in every run, so that a failure is somebody's fault.

``--long`` tries new ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import engine

CALM = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)


def same_examples(count: int) -> settings:
    """``count`` examples, the same ones in every run."""
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=CALM
    )


def new_examples(count: int) -> settings:
    """``count`` examples, other ones in every run: for the long form of a test."""
    return settings(max_examples=count, deadline=None, database=None, suppress_health_check=CALM)


@contextmanager
def shrinking_for(seconds: int) -> Iterator[None]:
    """Look no longer than this for a smaller example that fails too: hypothesis takes five minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "MAX_SHRINKING_SECONDS", seconds)
        yield
