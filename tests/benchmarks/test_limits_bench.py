"""What limits cost is measured of a call that they let pass, and of nothing else."""

import asyncio

import pytest
from benchmarks.limits import __main__ as bench

from erlmcp.config.schema import LimitSettings


def cost(monkeypatch, **limits):
    monkeypatch.setattr(bench, "_CALLS", 50)
    monkeypatch.setattr(bench, "_REPETITIONS", 2)
    return asyncio.run(bench.cost_us(LimitSettings(**limits)))


def test_a_call_that_passes_costs_something_and_not_much(monkeypatch):
    assert 0.0 < cost(monkeypatch) < 1_000.0


def test_a_call_that_is_held_back_is_not_measured(monkeypatch):
    with pytest.raises(AssertionError, match="60"):
        cost(monkeypatch, calls_per_s=1e-9, calls_burst=1, requests_per_s=1 / 60, burst=1, total_burst=1)
