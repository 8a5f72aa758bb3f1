"""A leg has full marks only when everything that belongs to it was proven."""

import json

import pytest
from conformance.installing import major_version
from conformance.legs import ALLOWANCES, LEGS, Leg
from conformance.results import Check, judge, read_checks

LEG = Leg("2026-07-28", "any", (), 2)
GOOD = [Check("ping", "ping", "SUCCESS", ""), Check("tools-list", "tools-list", "SUCCESS", "")]


def test_a_leg_in_which_every_scenario_proved_something_has_full_marks():
    score = judge(LEG, GOOD, ())
    assert (score.full, score.passed, score.total, score.scenarios) == (True, 2, 2, 2)


@pytest.mark.parametrize("status", ["FAILURE", "WARNING", "SKIPPED"])
def test_one_check_short_of_success_costs_the_full_marks_and_is_named(status):
    score = judge(LEG, [*GOOD, Check("ping", "ping-twice", status, "only once")], ())
    assert score.faults == (f"{status.lower()} ping:ping-twice: only once",)


def test_a_check_for_information_costs_nothing():
    assert judge(LEG, [*GOOD, Check("ping", "seen", "INFO", "")], ()).full


def test_a_leg_with_a_scenario_less_is_not_full():
    assert judge(LEG, GOOD[:1], ()).faults == ("ran 1 scenarios of 2",)


def test_a_run_that_left_nothing_is_not_full():
    assert not judge(LEG, [], ()).full


def test_a_scenario_that_only_heard_no_invalid_message_proves_nothing():
    silent = [GOOD[0], Check("tools-list", "wire-schema-valid", "SUCCESS", "")]
    assert judge(LEG, silent, ()).faults == ("nothing proven by tools-list",)


def test_an_allowance_covers_its_own_check_and_no_other():
    leg = Leg("stable", "any", (), 1)
    priming = Check("server-sse-polling", "server-sse-priming-event", "WARNING", "not sent")
    proven = Check("server-sse-polling", "session", "SUCCESS", "")
    assert judge(leg, [proven, priming], ALLOWANCES).full
    other_leg = Leg("2025-11-25", "any", (), 1)
    assert not judge(other_leg, [proven, priming], ALLOWANCES).full
    failed = Check("server-sse-polling", "server-sse-priming-event", "FAILURE", "not sent")
    assert not judge(leg, [proven, failed], ALLOWANCES).full


def test_a_scenario_of_which_everything_is_allowed_needs_no_other_proof():
    leg = Leg("stable", "any", (), 1)
    priming = Check("server-sse-polling", "server-sse-priming-event", "WARNING", "not sent")
    assert judge(leg, [priming], ALLOWANCES).full


def test_results_are_read_from_the_folders_that_the_suite_names(tmp_path):
    folder = tmp_path / "server-tools-call-image-2026-11-23T16-33-11-185Z"
    folder.mkdir()
    (folder / "checks.json").write_text(json.dumps([{"id": "image", "status": "SUCCESS"}]))
    (tmp_path / "something-else").mkdir()
    assert read_checks(tmp_path) == [Check("tools-call-image", "image", "SUCCESS", "")]


def test_the_legs_have_names_of_their_own_and_each_allowance_a_reason():
    assert len({leg.name for leg in LEGS}) == len(LEGS) == 7
    assert all(allowance.reason for allowance in ALLOWANCES)


@pytest.mark.parametrize(("answer", "version"), [("v22.23.3\n", 22), ("v9.0.0", 9), ("", 0), ("node 22", 0)])
def test_the_version_of_node_is_read_from_its_answer(answer, version):
    assert major_version(answer) == version
