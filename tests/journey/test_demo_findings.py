"""The demo ends well only if everything was observed: each test takes one observation away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from demo.findings import BAD, GOOD, OLD, STEPS, Observed, Span, assess, is_answer_by, told_time
from demo.program import Ran
from demo.record import steps_shown
from demo.service import Tenure
from demo.tally import Failure, Tally

BY_BAD = Failure(62.0, "modern", "search_notes", "rpc-error", "-32603 internal error", BAD)


def good_tally() -> Tally:
    tally = Tally(
        calls=3_000, by_era=Counter(modern=1_500, handshake=1_500), changes_made=200, streams_ended=3
    )
    tally.answers = [(45.0, 45.1, GOOD), (66.4, 66.5, GOOD)]
    tally.failures = [BY_BAD, replace(BY_BAD, era="handshake", at_s=64.0)]
    return tally


def observed(**changes: object) -> Observed:
    seen = Observed(
        tally=good_tally(),
        tenures=[
            Tenure(OLD, "g1", 0, 0.1, 30, 30.1),
            Tenure(GOOD, "g2", 30, 30.1, 60, 60.1),
            Tenure(BAD, "g3", 60, 60.1, 66, 66.1),
            Tenure(GOOD, "g2", 66, 66.1, 80, 80),
        ],
        first_check_exit=1,
        first_check_blocking=["a.b", "c.d"],
        expected_blocking=["c.d", "a.b"],
        good_verdict="GO",
        good_exit=0,
        good_span=Span(28, 48),
        steps_shown=STEPS,
        bad_verdict="GO",
        bad_exit=1,
        bad_span=Span(58, 70),
        verdict_s=66.0,
        verify_exit=0,
        reports=[GOOD, BAD],
        elapsed_s=80.0,
    )
    return replace(seen, **changes)


def missed(seen: Observed) -> list[str]:
    return [assertion.what for assertion in assess(seen) if not assertion.holds]


def with_failure(failure: Failure) -> Observed:
    seen = observed()
    seen.tally.failures.append(failure)
    return seen


def test_everything_observed_leaves_nothing_missed():
    assert missed(observed()) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"first_check_exit": 0}, "first check"),
        ({"first_check_blocking": ["a.b"]}, "first check"),
        ({"first_check_blocking": ["a.b", "c.d", "e.f"]}, "first check"),
        ({"good_verdict": "HOLD"}, "is GO once"),
        ({"good_exit": 1}, "deployment of 1.1.0 is done"),
        ({"steps_shown": STEPS[:-1]}, "every step"),
        ({"bad_verdict": "NO-GO"}, "nothing before the switch"),
        ({"bad_exit": 0}, "ends in a rollback"),
        ({"verdict_s": None}, "serves again"),
        ({"verdict_s": 65.4}, "serves again"),
        ({"verify_exit": 1}, "record whole"),
        ({"reports": [GOOD]}, "HTML reports"),
        ({"tenures": observed().tenures[:3]}, "releases that were active"),
    ],
)
def test_one_observation_taken_away_is_missed(change, named):
    assert [what for what in missed(observed(**change)) if named in what]


@pytest.mark.parametrize("kind", ["closed", "cut", "refused", "timeout", "framing", "status", "wrong-answer"])
def test_only_an_answer_can_be_blamed_on_the_bad_release(kind):
    assert not is_answer_by(replace(BY_BAD, kind=kind), BAD)
    assert "failed calls of any other kind, in the whole demo" in missed(
        with_failure(replace(BY_BAD, kind=kind))
    )


def test_a_failed_call_before_the_bad_release_is_missed():
    assert any("through 1.1.0" in what for what in missed(with_failure(replace(BY_BAD, at_s=20.0))))


def test_a_failed_answer_of_another_release_is_missed_even_while_the_bad_one_serves():
    assert missed(with_failure(replace(BY_BAD, answered_by=GOOD)))
    assert missed(with_failure(replace(BY_BAD, answered_by="")))


@pytest.mark.parametrize("at_s", [59.9, 67.2])
def test_a_failed_answer_outside_the_time_of_the_bad_release_is_missed(at_s):
    assert "failed answers outside the time 1.2.0 served" in missed(with_failure(replace(BY_BAD, at_s=at_s)))


def test_a_bad_release_that_never_failed_proves_nothing():
    seen = observed()
    seen.tally.failures.clear()
    assert missed(seen) == ["failed answers that 1.2.0 itself gave"]


@pytest.mark.parametrize(
    ("attribute", "value", "named"),
    [
        ("streams_cut", ["cut: x"], "streams that were cut"),
        ("streams_ended", 2, "streams ended"),
        ("changes_made", 3, "changes made"),
        ("changes_lost", [7], "changes lost"),
        ("by_era", Counter(modern=1_500), "handshake era"),
        ("answers", [(66.4, 66.5, GOOD)], "answers by 1.1.0"),
    ],
)
def test_what_the_subscription_and_the_eras_did_not_show_is_missed(attribute, value, named):
    seen = observed()
    setattr(seen.tally, attribute, value)
    assert [what for what in missed(seen) if named in what]


def test_a_step_that_failed_or_never_ended_was_not_shown():
    ran = Ran(("gonogo",), 0, "✓ announce   0.1 s\n  ✓ stage  1 s\n✗ watch  2 s\n  drain  3 s", 0.0, 1.0)
    assert steps_shown(ran, STEPS) == ["announce", "stage"]


def test_a_slow_demo_is_told_but_is_no_missing_observation():
    assert told_time(92.4) == "92 s of the 180 s that it should take"
    assert "this machine is slow" in told_time(180.0)
