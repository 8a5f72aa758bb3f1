"""The harness counts only right answers, and its arithmetic is that of the README."""

import dataclasses
import os

import pytest
from benchmarks.http import machine
from benchmarks.http.measuring import Sample
from benchmarks.http.messages import WrongAnswerError, check_answer, message_for, open_sessions
from benchmarks.http.report import medians, ratios, tables
from benchmarks.http.serving import StartError, running
from benchmarks.http.targets import BARE, GOALS, OURS, SDK_BEST, SDK_DEFAULT, TARGETS, Mode, Target

BY_NAME = {target.name: target for target in TARGETS}
QUIET = Sample(1000.0, 1.0, 2.0, 100.0, 0.01, 50.0)


def test_every_goal_compares_servers_that_are_measured():
    assert all(goal.ours in BY_NAME and goal.peer in BY_NAME for goal in GOALS)
    assert all(0 < goal.least <= goal.aim for goal in GOALS)
    assert len(BY_NAME) == len(TARGETS)


def test_noisy_repetitions_count_only_when_there_is_no_other():
    noisy = dataclasses.replace(QUIET, cpu_us=900.0, noise=0.5)
    found = medians({"a": [QUIET, noisy], "b": [noisy], "c": []})
    assert (found["a"].sample.cpu_us, found["a"].clean) == (100.0, True)
    assert (found["b"].sample.cpu_us, found["b"].clean) == (900.0, False)
    assert "c" not in found


@pytest.mark.parametrize(("cpu_us", "verdict"), [(6.6, "aim met"), (8.3, "least met"), (8.4, "missed")])
def test_a_ratio_is_judged_by_cpu_time(cpu_us, verdict):
    ours = dataclasses.replace(QUIET, cpu_us=cpu_us)
    found = medians({OURS: [ours], SDK_BEST: [QUIET]})
    [ratio] = ratios(found)
    assert ratio.times == pytest.approx(100 / cpu_us)
    assert verdict in tables(found, [ratio], {})


def test_a_failed_target_is_named_in_the_table():
    assert "| it | failed: why |" in tables({}, [], {"it": "why"})


def test_the_machine_knows_this_process():
    assert os.getpid() in machine.tree(os.getpid())
    assert machine.cpu_s(os.getpid()) > 0
    assert machine.memory_mb(os.getpid()) > 1
    assert machine.busy_s(0) > 0
    with pytest.raises(ValueError, match="no core"):
        machine.busy_s(10_000)


@pytest.mark.parametrize("name", [BARE, SDK_BEST, SDK_DEFAULT, OURS])
def test_the_answer_of_each_kind_of_server_is_the_right_one(name):
    target = BY_NAME[name]
    with running(target) as server:
        sessions = open_sessions(server.port, 1) if target.mode is Mode.SESSION else [None]
        check_answer(server.port, message_for(target), sessions[0])


def test_a_wrong_answer_is_refused():
    wrong = dataclasses.replace(BY_NAME[SDK_BEST], tool="no_such_tool")
    with running(wrong) as server, pytest.raises(WrongAnswerError, match="no_such_tool"):
        check_answer(server.port, message_for(wrong), None)


def test_a_server_that_does_not_start_is_told():
    absent = Target("absent", "{python} -m benchmarks.http.absent {port}", Mode.BARE)
    with pytest.raises(StartError, match="absent does not start"), running(absent):
        pytest.fail("it started")
