"""Is the error rate above its limit? A test that stays valid however often one looks.

A mixture e-process: the likelihood ratio of "the rate is q" against "the rate is p0", averaged over a
fixed set of q above p0. While the true rate is at most p0 it is a non-negative supermartingale that
begins at 1, so the chance that it *ever* reaches 1/alpha is at most alpha (Ville). Looking every few
seconds therefore costs nothing, unlike with a fixed-size test.

FAIL needs the e-value; PASS needs a proof at the end that the rate is below the limit. Anything else
is inconclusive, and no trials at all is no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, log1p

import numpy as np

from gonogo.analysis.bounds import clopper_pearson
from gonogo.model.watch import Outcome

ALPHA = 0.005
PASS_CONFIDENCE = 0.95
BASELINE_MIN_REQUESTS = 600
"""Below this many requests a clean baseline's upper bound alone would already exceed 1 % / 1.5."""

# Alternatives as multiples of p0: close ones find a slow leak, far ones find an outage in seconds.
_MULTIPLES = (1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 35.0, 60.0, 90.0)


@dataclass(frozen=True, slots=True)
class RateResult:
    """The verdict on a rate with the numbers behind it.

    Attributes:
        rate: events over trials; 0 without trials.
        e_value: evidence against "at most p0"; 1 means none.
        upper: one-sided 95 % upper bound of the rate.
    """

    outcome: Outcome
    rate: float
    p0: float
    e_value: float
    upper: float
    events: int
    trials: int


def log_e_value(events: int, trials: int, p0: float) -> float:
    """The logarithm of the mixture e-value of ``events`` in ``trials`` against a rate of at most ``p0``.

    Raises:
        ValueError: the counts are impossible or ``p0`` is not between 0 and 1.
    """
    if not 0 <= events <= trials:
        raise ValueError(f"events must lie between 0 and trials, got {events} of {trials}")
    if not 0 < p0 < 1:
        raise ValueError(f"p0 must lie between 0 and 1, got {p0}")
    alternatives = np.array(_alternatives(p0))
    hits = events * (np.log(alternatives) - log(p0))
    misses = (trials - events) * (np.log1p(-alternatives) - log1p(-p0))
    return float(np.logaddexp.reduce(hits + misses) - log(len(alternatives)))


def limit_rate(limit: float, ceiling: float, baseline_events: int, baseline_trials: int) -> float:
    """p0: the configured limit, or 1.5 times what the baseline may truly have had, whichever is more.

    A thin baseline proves nothing about a high rate, so it does not raise p0. ``ceiling`` (the rate that
    rolls back at once) is never exceeded.
    """
    if baseline_trials < BASELINE_MIN_REQUESTS:
        return limit
    upper = clopper_pearson(baseline_events, baseline_trials, confidence=0.975).upper
    return min(max(limit, 1.5 * upper), max(limit, ceiling))


def judge_rate(
    events: int, trials: int, *, p0: float, limit: float, at_end: bool, alpha: float = ALPHA
) -> RateResult:
    """Judge cumulative counts at one look.

    Args:
        p0: the rate that the e-process tests against.
        limit: the rate below which a PASS must be proven.
        at_end: True at the end of the watch; only then is PASS possible.
        alpha: chance of ever failing a rate of exactly ``p0``.
    """
    log_e = log_e_value(events, trials, p0)
    upper = clopper_pearson(events, trials, confidence=PASS_CONFIDENCE).upper
    if trials == 0:
        outcome = Outcome.NO_DATA
    elif log_e >= -log(alpha):
        outcome = Outcome.FAIL
    elif at_end and upper < limit:
        outcome = Outcome.PASS
    else:
        outcome = Outcome.INCONCLUSIVE
    e_value = float(np.exp(log_e)) if log_e < 700 else inf
    return RateResult(outcome, events / trials if trials else 0.0, p0, e_value, upper, events, trials)


def _alternatives(p0: float) -> tuple[float, ...]:
    below_one = tuple(p0 * multiple for multiple in _MULTIPLES if p0 * multiple < 0.95)
    return below_one or ((1 + p0) / 2,)
