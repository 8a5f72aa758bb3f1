"""A roll-up is as good as the worst of its children that matter."""

from __future__ import annotations

import pytest

from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checklist.rollup import roll_up
from gonogo.model.finding import Answer

# build.code-review: three blockers or required rows and the advisory build.no-commented-code
CHILDREN = CATALOGUE.children("build.code-review")
ADVISORY = "build.no-commented-code"
SECRETS = "build.no-hardcoded-secrets"


def _answer(facts, waived=(), **changes):
    answers = {child.id: Answer.PASS for child in CHILDREN} | {
        f"build.{name.replace('_', '-')}": answer for name, answer in changes.items()
    }
    findings = {name: facts.finding(name, answer) for name, answer in answers.items() if answer is not None}
    return roll_up(CHILDREN, findings, waived=waived)


@pytest.mark.parametrize("answer", [Answer.FAIL, Answer.UNKNOWN, Answer.WARN])
def test_the_worst_child_counts_and_is_named(facts, answer):
    assert _answer(facts, no_hardcoded_secrets=answer) == (answer, f"1 of 4 checks: {answer} ({SECRETS})")


def test_all_passing_children_pass(facts):
    assert _answer(facts) == (Answer.PASS, "all 4 applicable checks pass")


def test_a_missing_child_is_unknown(facts):
    assert _answer(facts, no_hardcoded_secrets=None)[0] is Answer.UNKNOWN


@pytest.mark.parametrize("answer", [Answer.FAIL, Answer.UNKNOWN, None])
def test_an_advisory_child_is_never_worse_than_a_remark(facts, answer):
    assert _answer(facts, no_commented_code=answer) == (Answer.WARN, f"1 of 4 checks: warn ({ADVISORY})")


def test_a_waived_failure_does_not_count_but_a_waived_unknown_does(facts):
    assert _answer(facts, waived={SECRETS}, no_hardcoded_secrets=Answer.FAIL)[0] is Answer.PASS
    assert _answer(facts, waived={SECRETS}, no_hardcoded_secrets=Answer.UNKNOWN)[0] is Answer.UNKNOWN


def test_children_that_do_not_apply_are_left_out_and_without_any_it_does_not_apply(facts):
    assert _answer(facts, no_hardcoded_secrets=Answer.NOT_APPLICABLE)[1] == "all 3 applicable checks pass"
    none = {child.id: facts.finding(child.id, Answer.NOT_APPLICABLE) for child in CHILDREN}
    assert roll_up(CHILDREN, none)[0] is Answer.NOT_APPLICABLE


def test_nothing_to_roll_up_is_unknown():
    assert roll_up((), {}) == (Answer.UNKNOWN, "there is nothing to roll up")


def test_many_bad_children_are_counted_and_some_are_named(facts):
    five = CATALOGUE.children("monitoring.enabled")
    findings = {child.id: facts.finding(child.id, Answer.FAIL) for child in five}
    assert roll_up(five, findings)[1].endswith("and 2 more)")
