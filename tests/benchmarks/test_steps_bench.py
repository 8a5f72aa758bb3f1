"""The steps of a call over TCP are timed of a call that is answered, on the way that calls take."""

import asyncio
import logging

import pytest
from benchmarks.channels import steps as bench


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(bench, "_CALLS", 32)
    monkeypatch.setattr(bench, "_REPETITIONS", 3)


def test_every_step_is_timed_and_the_call_is_at_least_its_largest_step():
    whole, _, *steps = asyncio.run(bench.steps()).values()
    assert len(steps) == 7
    assert 0.0 < max(steps[:5]) <= whole < 1_000.0


def test_the_log_of_the_process_is_as_it_was_before():
    before = logging.getLogger().handlers[:]
    asyncio.run(bench.steps())
    assert logging.getLogger().handlers == before


def test_a_call_that_is_refused_is_not_measured(monkeypatch):
    monkeypatch.setattr(bench, "CALL", bench.CALL.replace(b'"a": 2', b'"a": "two"'))
    with pytest.raises((AssertionError, KeyError)):
        asyncio.run(bench.steps())
