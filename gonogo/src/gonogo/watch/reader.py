"""How a watch reads production: one method, so that any source of metrics can stand behind it.

``adapters.erlmcp_metrics`` implements it over the admin listener; tests implement it over a model of a
service. A reader never retries and never guesses: what it cannot read, it raises.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Protocol

from gonogo.analysis.histogram import difference
from gonogo.model.errors import GonogoError
from gonogo.model.watch import Sample

Sleep = Callable[[float], Awaitable[None]]
"""Waits so many seconds; ``asyncio.sleep`` in production, a jump of the clock in tests."""


class SampleReader(Protocol):
    """Reads the counters of one generation."""

    async def sample(self, generation: str) -> Sample:
        """The counters now.

        Raises:
            GonogoError: the service did not answer, or its answer holds no such generation.
        """
        ...


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at production: a sample, or why there is none.

    Attributes:
        at: when the look ended (UTC).
        sample: None if nothing could be read.
        problem: what went wrong, or empty.
        unanswered: synthetic calls so far that got no answer at all; the service cannot count those.
    """

    at: datetime
    sample: Sample | None
    problem: str = ""
    unanswered: int = 0

    @property
    def healthy(self) -> bool:
        """True if production answered and called itself healthy."""
        return self.sample is not None and self.sample.healthy


async def observe(
    reader: SampleReader,
    generation: str,
    clock: Callable[[], datetime],
    *,
    before: Sample | None = None,
    unanswered: int = 0,
) -> Observation:
    """One look; a reader's error becomes an observation without a sample.

    Args:
        before: the sample before; counters that went back since make this one unusable, since nothing
            could be counted from it.
    """
    try:
        sample = await reader.sample(generation)
    except GonogoError as error:
        return Observation(clock(), None, str(error), unanswered)
    problem = went_back(before, sample) if before else ""
    return Observation(clock(), None if problem else sample, problem, unanswered)


def went_back(before: Sample, after: Sample) -> str:
    """Which counter is lower than it was, or empty."""
    for name in ("requests", "errors", "tool_errors", "restarts"):
        was, now = getattr(before, name), getattr(after, name)
        if now < was:
            return f"counter {name} went back from {was} to {now}"
    try:
        window = difference(after.latency_buckets, before.latency_buckets)
    except ValueError as error:
        return f"latency histogram: {error}"
    if any(wider < narrower for (_, narrower), (_, wider) in pairwise(window)):
        return "latency histogram: a bucket lost observations to a narrower one"
    return ""
