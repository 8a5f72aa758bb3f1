"""What a watch concludes about a release that is already serving."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """Only PASS advances; FAIL is sticky; NO_DATA is never a pass."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no-data"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One metric's verdict with the numbers that explain it.

    Attributes:
        metric: such as ``error-ratio`` or ``latency-p99``.
        reason: a sentence with baseline, candidate, bound, margin, samples and effective samples.
        urgent: True for a safety limit that acts at once.
    """

    metric: str
    outcome: Outcome
    reason: str
    baseline: float | None
    candidate: float | None
    bound: float | None
    limit: float
    samples: int
    effective_samples: float
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """Service counters at one moment, cumulative since the process group began.

    Attributes:
        at: when the sample was read (UTC).
        requests, errors: cumulative counts of the observed generation; errors are 5xx, JSON-RPC
            server faults and timeouts.
        latency_buckets: cumulative histogram, upper bound in seconds to count; ``inf`` included.
        in_flight, connections: gauges.
        memory_bytes, cpu_s: resident memory now; CPU seconds used so far.
        healthy: every declared critical component healthy and the service ready.
        tool_errors: cumulative tool failures answered with isError; counted apart from errors.
        restarts: processes of the generation that died and were started again.
    """

    at: datetime
    requests: int
    errors: int
    latency_buckets: tuple[tuple[float, int], ...]
    in_flight: int
    connections: int
    memory_bytes: int
    cpu_s: float
    healthy: bool
    tool_errors: int = 0
    restarts: int = 0
