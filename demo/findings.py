"""Whether all of it was observed: facts in, a list of assertions with observed numbers out. Pure.

The demo ends well only if every assertion holds. Who is to blame for a failed call is settled twice: the
answer itself must say that 1.2.0 gave it, and it must have come while 1.2.0 was seen to serve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from demo.service import Tenure
from demo.tally import Failure, Tally

OLD, GOOD, BAD = "1.0.0", "1.1.0", "1.2.0"
STEPS = ("announce", "snapshot", "stage", "verify", "smoke", "switch", "drain", "watch", "done")
BACK_IN_SERVICE_MAX_S = 1.0
DEMO_MAX_S = 180.0
SWITCHES = 3  # to 1.1.0, to 1.2.0, and back


@dataclass(frozen=True, slots=True)
class Span:
    """A span on the event loop's clock, seconds."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that was seen from outside.

    Attributes:
        first_check_exit, first_check_blocking: how the first check of 1.1.0 ended and what it named.
        expected_blocking: the defects that the demo had planted.
        good_span, bad_span: from the start to the end of each ``gonogo deploy``.
        good_verdict, bad_verdict: what the gate said right before each deployment.
        verdict_s: when the record says that the watch of 1.2.0 failed.
        steps_shown: names of the steps that the good deployment printed.
    """

    tally: Tally
    tenures: Sequence[Tenure]
    first_check_exit: int
    first_check_blocking: Collection[str]
    expected_blocking: Collection[str]
    good_verdict: str
    good_exit: int
    good_span: Span
    steps_shown: Collection[str]
    bad_verdict: str
    bad_exit: int
    bad_span: Span
    verdict_s: float | None
    verify_exit: int
    reports: Collection[str]
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Assertion:
    """One thing that must have been observed."""

    what: str
    expected: str
    observed: str
    holds: bool


def assess(seen: Observed) -> list[Assertion]:
    """All assertions, in the order of the story."""
    return [*_readiness(seen), *_good(seen), *_bad(seen), *_subscription(seen.tally), *_record(seen)]


def _readiness(seen: Observed) -> list[Assertion]:
    named = sorted(seen.first_check_blocking)
    return [
        Assertion(
            f"first check of {GOOD} is NO-GO and names the planted faults",
            f"exit 1: {', '.join(sorted(seen.expected_blocking))}",
            f"exit {seen.first_check_exit}: {', '.join(named) or 'nothing'}",
            seen.first_check_exit == 1 and set(named) == set(seen.expected_blocking),
        ),
        _go(f"{GOOD} is GO once they are mended", seen.good_verdict),
    ]


def _good(seen: Observed) -> list[Assertion]:
    tally = seen.tally
    before = tally.failures_between(0.0, seen.bad_span.start_s)
    missing = [step for step in STEPS if step not in seen.steps_shown]
    served = sum(1 for _, at_s, who in tally.answers if who == GOOD and at_s < seen.bad_span.start_s)
    return [
        _exit(f"deployment of {GOOD} is done", 0, seen.good_exit),
        Assertion("it shows every step", "9 steps", f"{9 - len(missing)} steps", not missing),
        Assertion(
            f"calls failed up to and through {GOOD}",
            "0",
            f"{len(before)}{_why(before)}",
            not before,
        ),
        _least(f"answers by {GOOD} before the next release", 1, served),
    ]


def _bad(seen: Observed) -> list[Assertion]:
    tally = seen.tally
    tenure = next((t for t in seen.tenures if t.release == BAD), None)
    by_bad = [failure for failure in tally.failures if is_answer_by(failure, BAD)]
    others = [failure for failure in tally.failures if not is_answer_by(failure, BAD)]
    outside = [failure for failure in by_bad if not _within(failure, tenure)]
    back_s = _back_in_service_s(seen)
    return [
        _go(f"{BAD} is GO: nothing before the switch shows its fault", seen.bad_verdict),
        _exit(f"deployment of {BAD} ends in a rollback", 1, seen.bad_exit),
        _least(f"failed answers that {BAD} itself gave", 1, len(by_bad)),
        Assertion(
            "failed calls of any other kind, in the whole demo",
            "0",
            f"{len(others)}{_why(others)}",
            not others,
        ),
        Assertion(f"failed answers outside the time {BAD} served", "0", str(len(outside)), not outside),
        Assertion(
            f"{GOOD} serves again after the verdict",
            f"< {BACK_IN_SERVICE_MAX_S:g} s",
            "never" if back_s is None else f"{back_s:.2f} s",
            back_s is not None and back_s < BACK_IN_SERVICE_MAX_S,
        ),
        Assertion(
            "releases that were active, in order",
            f"{OLD} → {GOOD} → {BAD} → {GOOD}",
            " → ".join(t.release for t in seen.tenures),
            [t.release for t in seen.tenures] == [OLD, GOOD, BAD, GOOD],
        ),
    ]


def _subscription(tally: Tally) -> list[Assertion]:
    return [
        Assertion("streams that were cut", "0", str(len(tally.streams_cut)), not tally.streams_cut),
        _least("streams ended with their final result", SWITCHES, tally.streams_ended),
        _least("changes made under the subscription", 50, tally.changes_made),
        Assertion("changes lost", "0", str(len(tally.changes_lost)), not tally.changes_lost),
        _least("calls in the modern era", 500, tally.by_era["modern"]),
        _least("calls in the handshake era", 500, tally.by_era["handshake"]),
    ]


def _record(seen: Observed) -> list[Assertion]:
    return [
        _exit("gonogo verify finds the record whole", 0, seen.verify_exit),
        Assertion(
            "HTML reports",
            f"{GOOD}, {BAD}",
            ", ".join(sorted(seen.reports)),
            set(seen.reports) == {GOOD, BAD},
        ),
    ]


def told_time(elapsed_s: float) -> str:
    """How long it took, against what it should take. Said, not judged: a slow machine is no fault here."""
    told = f"{elapsed_s:.0f} s of the {DEMO_MAX_S:g} s that it should take"
    return told if elapsed_s < DEMO_MAX_S else f"{told}: this machine is slow, or busy with something else"


def is_answer_by(failure: Failure, release: str) -> bool:
    """Whether the failed call had an answer, in words of MCP, that says ``release`` gave it."""
    return failure.kind in {"rpc-error", "tool-error"} and failure.answered_by == release


def _within(failure: Failure, tenure: Tenure | None) -> bool:
    # A generation that drains finishes what it has begun, so an answer may come a little later.
    return (
        tenure is not None
        and tenure.not_before_s <= failure.at_s <= tenure.not_after_s + BACK_IN_SERVICE_MAX_S
    )


def _back_in_service_s(seen: Observed) -> float | None:
    if seen.verdict_s is None:
        return None
    at_s = seen.tally.first_sent_and_answered_by(GOOD, seen.verdict_s)
    return None if at_s is None else at_s - seen.verdict_s


def _exit(what: str, expected: int, observed: int) -> Assertion:
    return Assertion(what, f"exit {expected}", f"exit {observed}", observed == expected)


def _go(what: str, verdict: str) -> Assertion:
    return Assertion(what, "GO", verdict, verdict == "GO")


def _least(what: str, least: int, observed: int) -> Assertion:
    return Assertion(what, f"≥ {least}", str(observed), observed >= least)


def _why(failures: Sequence[Failure]) -> str:
    reasons = Counter(
        f"{failure.era} {failure.call}: {failure.kind}: {failure.reason}" for failure in failures
    )
    return "".join(f"; {number} of {reason}" for reason, number in reasons.most_common(3))
