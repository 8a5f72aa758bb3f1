"""All metrics of one evaluation, in the order in which they are shown. Pure.

Safety limits look at every observation; the statistics only at those after the declared warm-up.
"""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.config.schema import Thresholds
from gonogo.model.watch import Judgement
from gonogo.watch.baseline import Baseline
from gonogo.watch.rates import judge_rates
from gonogo.watch.ratios import judge_ratios
from gonogo.watch.reader import Observation
from gonogo.watch.safety import judge_safety


def judge(
    counted: Sequence[Observation],
    observations: Sequence[Observation],
    baseline: Baseline | None,
    limits: Thresholds,
    *,
    at_look: bool,
) -> tuple[Judgement, ...]:
    """Every metric's judgement; PASS for a statistic is possible only ``at_look``."""
    return (
        *judge_safety(observations, limits),
        *judge_rates(counted, baseline, limits, at_end=at_look),
        *judge_ratios(counted, baseline, limits, at_look=at_look),
    )
