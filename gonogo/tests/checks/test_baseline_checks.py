"""The baseline's figures: recorded ones pass, thin, burning or senseless ones do not."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from check_world import World, settings_for

from gonogo.model.finding import Answer

BEGAN = datetime(2026, 11, 23, 12, tzinfo=UTC)
IDS = ("baseline.error-rate", "baseline.latency", "baseline.memory")
GOOD_LATENCY = {"p50": (0.002, 0.003), "p95": (0.006, 0.007), "p99": (0.01, 0.02)}


@dataclass
class Series:
    requests: int = 1000
    errors: int = 1
    latency: dict = field(default_factory=lambda: dict(GOOD_LATENCY))
    memory: tuple = (50e6, 51e6)


@dataclass
class Recorded:
    series: Series
    generation: str = "g1"
    began_at: datetime = BEGAN
    ended_at: datetime = BEGAN + timedelta(seconds=60)
    span_s: float = 60.0


@pytest.fixture
def judged(ask, tmp_path):
    def answer(check_id, **series):
        async def source():
            return Recorded(Series(**series))

        return ask(World(repo=tmp_path, settings=settings_for(), baseline=source), check_id)[check_id]

    return answer


@pytest.mark.parametrize("check_id", IDS)
def test_a_good_baseline_passes_with_its_figures(judged, check_id):
    found = judged(check_id)
    assert found.answer is Answer.PASS, found
    assert any(character.isdigit() for character in found.reason)


@pytest.mark.parametrize(
    ("check_id", "series", "answer"),
    [
        ("baseline.error-rate", {"requests": 100, "errors": 0}, Answer.PASS),
        ("baseline.error-rate", {"requests": 99, "errors": 0}, Answer.UNKNOWN),
        ("baseline.error-rate", {"requests": 1000, "errors": 9}, Answer.PASS),
        ("baseline.error-rate", {"requests": 1000, "errors": 10}, Answer.FAIL),
        ("baseline.latency", {"latency": {}}, Answer.UNKNOWN),
        ("baseline.latency", {"latency": {**GOOD_LATENCY, "p99": ()}}, Answer.UNKNOWN),
        ("baseline.latency", {"latency": {**GOOD_LATENCY, "p99": (0.001,)}}, Answer.FAIL),
        ("baseline.latency", {"latency": {**GOOD_LATENCY, "p99": (float("inf"),)}}, Answer.FAIL),
        ("baseline.memory", {"memory": ()}, Answer.UNKNOWN),
        ("baseline.memory", {"memory": (50e6, 0.0)}, Answer.UNKNOWN),
    ],
)
def test_what_a_baseline_must_hold(judged, check_id, series, answer):
    assert judged(check_id, **series).answer is answer


def test_the_baseline_is_collected_once_for_all_checks_of_a_run(ask, tmp_path):
    collected = []

    async def source():
        collected.append(1)
        return Recorded(Series())

    ask(World(repo=tmp_path, settings=settings_for(), baseline=source), *IDS)
    assert collected == [1]
