"""A limit counts only when it was broken at every evaluation over a span that was really observed.

One bad moment is not sustained, a gap in the observation is not sustained, and too few requests
cannot show it either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation saw.

    Attributes:
        at_s: seconds since any fixed moment.
        broken: True if the limit was broken, False if kept, None if it could not be told.
        requests: requests seen since the evaluation before.
    """

    at_s: float
    broken: bool | None
    requests: int


def broken_throughout(
    evaluations: Sequence[Evaluation], *, span_s: float, step_s: float, min_requests: int
) -> bool:
    """True if the limit was broken at every evaluation of the last ``span_s`` seconds.

    The evaluations, oldest first, must cover the whole span without a gap longer than one and a half
    steps, and hold at least ``min_requests`` requests.
    """
    if not evaluations:
        return False
    begin = evaluations[-1].at_s - span_s
    inside = [evaluation for evaluation in evaluations if evaluation.at_s > begin + _SLACK_S]
    longest_gap_s = 1.5 * step_s
    times = [begin, *(evaluation.at_s for evaluation in inside)]
    if any(later - earlier > longest_gap_s for earlier, later in pairwise(times)):
        return False
    if sum(evaluation.requests for evaluation in inside) < min_requests:
        return False
    return all(evaluation.broken is True for evaluation in inside)


def broken_for_s(evaluations: Sequence[Evaluation], *, max_gap_s: float) -> float:
    """Seconds from the first to the last of the run of broken evaluations at the end.

    A gap in the observation longer than ``max_gap_s`` ends the run: nobody looked, so nothing is claimed.
    """
    begin: float | None = None
    for evaluation in reversed(evaluations):
        if evaluation.broken is not True or (begin is not None and begin - evaluation.at_s > max_gap_s):
            break
        begin = evaluation.at_s
    return 0.0 if begin is None else evaluations[-1].at_s - begin


_SLACK_S = 1e-6  # evaluations at exactly the beginning of the span belong to the span before
