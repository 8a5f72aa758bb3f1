"""A whole deployment against the model world, on a clock that passes in milliseconds."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta

import pytest
from model_world import Behaviour, gate_of, manifest_of, release_of

from gonogo.adapters.lease import Lease
from gonogo.deploy.deployment import deploy
from gonogo.deploy.ledger import Ending, last_deployment
from gonogo.deploy.progress import StepState
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.verdict import Verdict
from gonogo.watch.decision import Choice, decide


def test_a_good_release_ends_done_and_the_old_generation_stays_warm(stand):
    result = stand.deploy("1.1.0")
    assert (result.ending, result.exit_code) == ("done", 0), result
    assert stand.world.states() == {"g1": "warm", result.serving: "active"}
    assert stand.world.acts == [f"stage {result.serving}", f"activate {result.serving}"]
    assert stand.announcements() == ["started", "done"]


def test_steps_come_in_the_order_of_the_table_with_their_numbers(stand):
    stand.deploy("1.1.0")
    finished = [event for event in stand.events if event.state is StepState.FINISHED]
    assert [event.step for event in finished] == [
        "announce", "snapshot", "stage", "verify", "smoke", "switch", "drain", "watch", "done",
    ]  # fmt: skip
    assert stand.texts("switch")[-1].startswith("1.0.0 → 1.1.0 in ")
    started = next(stand.journal.entries(kinds={EntryKind.DEPLOYMENT_STARTED}))
    assert [row["budget_s"] for row in started.body["plan"]] == [30, 120, 300, 180, 300, 60, 180, 300, 60]


def test_a_bad_release_is_rolled_back_by_itself(stand):
    result = stand.deploy("1.2.0")
    assert (result.ending, result.exit_code, result.serving) == ("rolled-back", 1, "g1"), result
    generation = stand.world.acts[0].removeprefix("stage ")
    assert stand.world.acts[1:] == [f"activate {generation}", "activate g1", f"retire {generation}"]
    assert result.rollback_s < 1
    assert "error-ratio" in result.reason
    assert stand.announcements() == ["started", "rolled-back"]


def test_a_release_with_some_errors_is_held_and_goes_back_when_nobody_decides(stand):
    result = stand.deploy("1.3.0")
    assert result.ending == "rolled-back"
    assert "nobody decided" in result.reason
    assert stand.announcements() == ["started", "held", "rolled-back"]


def test_generations_older_than_the_way_back_are_retired_at_the_end(stand):
    first = stand.deploy("1.1.0")
    stand.clock.now += timedelta(minutes=5)
    second = stand.deploy("1.1.1")
    assert stand.world.states() == {"g1": "gone", first.serving: "warm", second.serving: "active"}


@pytest.mark.parametrize(
    ("behaviour", "step"),
    [
        (Behaviour(starts=False), "stage"),
        (Behaviour(smoke_works=False), "smoke"),
    ],
)
def test_an_error_before_the_switch_changes_nothing(stand, behaviour, step):
    stand.world.behaviours["1.1.0"] = behaviour
    result = stand.deploy("1.1.0")
    assert (result.ending, result.exit_code) == ("aborted", 1)
    assert result.reason.startswith(f"step {step}")
    states = stand.world.states()
    assert states.pop("g1") == "active"
    assert set(states.values()) <= {"gone", "failed"}
    assert not any(act.startswith("activate") for act in stand.world.acts)
    assert stand.announcements() == ["started", "aborted"]


def test_a_service_that_is_sick_already_is_not_deployed_to(stand):
    stand.world.behaviours["1.0.0"] = Behaviour(healthy=False)
    result = stand.deploy("1.1.0")
    assert (result.ending, result.error["id"]) == ("aborted", "deploy.already-breaching")
    assert stand.world.acts == []


def test_a_service_that_fails_half_its_requests_already_is_not_deployed_to(stand):
    stand.world.behaviours["1.0.0"] = Behaviour(error_ratio=0.5)
    assert stand.deploy("1.1.0").error["id"] == "deploy.already-breaching"
    assert stand.world.acts == []


def test_a_gate_that_is_not_go_refuses_before_anything_is_recorded(stand):
    release = release_of("1.1.0")
    for verdict, code in ((Verdict.NO_GO, 1), (Verdict.HOLD, 3)):
        with pytest.raises(GonogoError) as caught:
            stand.deploy("1.1.0", gate=lambda verdict=verdict: gate_of(release, verdict))
        assert (caught.value.error_id, caught.value.exit_code) == ("deploy.not-go", code)
    assert last_deployment(stand.journal, "production") is None
    assert stand.world.acts == []


def test_a_gate_that_shuts_before_the_switch_stops_the_deployment(stand):
    release = release_of("1.1.0")
    answers = [gate_of(release), gate_of(release, Verdict.NO_GO)]
    result = stand.deploy("1.1.0", gate=lambda: answers.pop(0))
    assert (result.ending, result.error["id"]) == ("aborted", "deploy.not-go")
    assert stand.world.states()["g1"] == "active"


def test_a_release_that_changed_under_the_deployment_is_not_switched_to(stand):
    answers = [gate_of(release_of("1.1.0")), gate_of(release_of("1.1.0-changed"))]
    result = stand.deploy("1.1.0", gate=lambda: answers.pop(0))
    assert (result.ending, result.error["id"]) == ("aborted", "deploy.changed")


def test_a_service_that_somebody_else_switched_is_left_alone(stand):
    release = release_of("1.1.0")

    def gate():
        if any(act.startswith("stage 1.1.0") for act in stand.world.acts):
            world = stand.world._read()
            world["generations"]["other"] = world["generations"]["g1"] | {"version": "5.0.0"}
            world["generations"]["g1"] = world["generations"]["g1"] | {"state": "warm", "since": None}
            stand.world._write(world)
        return gate_of(release)

    result = stand.deploy("1.1.0", gate=gate)
    assert (result.ending, result.error["id"]) == ("aborted", "deploy.moved")
    assert stand.world.states()["other"] == "active"


def test_a_second_deployment_is_refused_and_told_who_holds_the_lease(stand):
    lease = Lease.take(stand.services.state, "production", deployment="notes 1.1.0", clock=stand.clock)
    with lease, pytest.raises(GonogoError) as caught:
        stand.deploy("1.1.0")
    assert (caught.value.error_id, caught.value.exit_code) == ("deploy.locked", 1)
    assert f"process {os.getpid()}" in caught.value.message
    assert stand.world.acts == []


def test_a_lease_lost_in_the_middle_stops_before_the_next_act(stand):
    release = release_of("1.1.0")

    def gate():
        if stand.world.acts:
            (stand.services.state / "lease-production.json").unlink()
        return gate_of(release)

    result = stand.deploy("1.1.0", gate=gate)
    assert result.error["id"] == "deploy.lease-lost"
    assert [act.split()[0] for act in stand.world.acts] == ["stage"]


class DiedError(BaseException):
    """Stands for a process that is gone: nothing in the product catches it."""


def die_at(stand, step: str, version: str = "1.1.0") -> None:
    def progress(event) -> None:
        if event.step == step and event.state is StepState.STARTED:
            raise DiedError

    release = release_of(version)
    services = replace(stand.services, gate=lambda: gate_of(release))
    with pytest.raises(BaseException):  # noqa: B017, PT011 - however it surfaces, the process would be gone
        deploy(services, release, manifest_of(version), actor="ada", resume=False, progress=progress)


def test_an_unfinished_deployment_must_be_resumed_before_another_begins(stand):
    die_at(stand, "smoke")
    with pytest.raises(GonogoError) as caught:
        stand.deploy("1.1.1")
    assert caught.value.error_id == "deploy.unfinished"
    assert caught.value.hint == "gonogo deploy 1.1.0 --resume"


def test_resuming_another_version_is_refused(stand):
    die_at(stand, "smoke")
    with pytest.raises(GonogoError) as caught:
        stand.deploy("1.1.1", resume=True)
    assert caught.value.error_id == "deploy.unfinished"


def test_there_is_nothing_to_resume_after_a_deployment_that_ended(stand):
    for _ in range(2):
        with pytest.raises(GonogoError) as caught:
            stand.deploy("1.1.0", resume=True)
        assert caught.value.error_id == "deploy.nothing-to-resume"
        if last_deployment(stand.journal, "production") is None:
            stand.deploy("1.1.0")


def test_a_watch_without_proof_waits_for_a_person_and_keeps_the_way_back(stand):
    stand.world.rate_per_s = 0.5  # with the synthetic calls too few to prove below 1 % in this watch
    short = stand.with_limits(watch_s=60.0, watch_extensions=0)
    result = short.deploy("1.1.0")
    assert (result.ending, result.exit_code) == (Ending.WAITING, 3)
    assert stand.world.states()["g1"] == "warm"
    with pytest.raises(GonogoError) as caught:
        short.deploy("1.1.1")
    assert (caught.value.error_id, caught.value.exit_code) == ("deploy.waiting", 3)
    assert short.deploy("1.1.0", resume=True).ending is Ending.WAITING, "nobody has decided yet"


@pytest.mark.parametrize(
    ("choice", "ending", "serving"), [(Choice.ACCEPT, "done", "new"), (Choice.ROLL_BACK, "rolled-back", "g1")]
)
def test_a_decision_ends_the_waiting(stand, choice, ending, serving):
    stand.world.rate_per_s = 0.5
    short = stand.with_limits(watch_s=60.0, watch_extensions=0)
    waiting = short.deploy("1.1.0")
    decide(
        stand.journal,
        release=waiting.release,
        deployment=waiting.deployment,
        choice=choice,
        person="ada",
        reason="looked at it",
    )
    result = short.deploy("1.1.0", resume=True)
    assert result.ending == ending
    expected = result.deployment.removeprefix("dep-notes-") if serving == "new" else serving
    assert stand.world.states()[expected] == "active"


def test_a_rollback_by_hand_goes_back_to_the_warm_generation(stand):
    done = stand.deploy("1.1.0")
    result = stand.roll_back("customers complain")
    assert (result.ending, result.serving) == ("rolled-back", "g1")
    assert stand.world.states() == {"g1": "active", done.serving: "gone"}
    with pytest.raises(GonogoError) as caught:
        stand.roll_back()
    assert caught.value.error_id == "rollback.nothing"


def test_a_rollback_by_hand_ends_an_interrupted_deployment(stand):
    die_at(stand, "drain")
    result = stand.roll_back()
    assert result.ending == "rolled-back"
    assert stand.world.states()["g1"] == "active"
    stand.clock.now += timedelta(minutes=1)
    assert stand.deploy("1.1.1").ending == "done", "a new one may begin, and the old is not taken up again"


def test_a_rollback_by_hand_of_a_deployment_that_had_not_switched_ends_it(stand):
    die_at(stand, "smoke")
    result = stand.roll_back()
    assert result.ending == "aborted"
    assert [act.split()[0] for act in stand.world.acts] == ["stage", "retire"]


def test_without_a_deployment_there_is_nothing_to_roll_back(stand):
    with pytest.raises(GonogoError) as caught:
        stand.roll_back()
    assert caught.value.error_id == "rollback.nothing"


def test_a_previous_generation_that_is_gone_is_said_before_anything_is_touched(stand):
    stand.deploy("1.1.0")
    stand.world.set_state("g1", "gone")
    before = stand.world.acts
    with pytest.raises(GonogoError) as caught:
        stand.roll_back()
    assert caught.value.error_id == "rollback.no-way-back"
    assert stand.world.acts == before


def test_a_rollback_that_cannot_be_done_is_a_failure_and_is_shouted(stand):
    release = release_of("1.2.0")
    stand.world.behaviours["1.2.0"] = Behaviour(error_ratio=0.5)

    def break_the_way_back(event) -> None:
        if event.step == "watch" and event.state is StepState.STARTED:
            stand.world.set_state("g1", "gone")

    result = deploy(
        replace(stand.services, gate=lambda: gate_of(release)),
        release,
        manifest_of("1.2.0"),
        actor="ada",
        resume=False,
        progress=break_the_way_back,
    )
    assert (result.ending, result.exit_code) == ("failed", 1)
    assert stand.announcements() == ["started", "rollback-failed"]


def test_a_drain_that_reaches_its_deadline_is_recorded_and_goes_on(stand):
    stand.world.behaviours["1.0.0"] = Behaviour(stays_busy=True)
    assert stand.deploy("1.1.0").ending == "done"
    drained = next(
        entry.body["observed"]
        for entry in stand.journal.entries(kinds={EntryKind.STEP_FINISHED})
        if entry.body["step"] == "drain"
    )
    assert drained["deadline_reached"] is True
    assert drained["in_flight"] == 1


def test_announcements_are_whole_sentences_with_the_declared_contact(stand):
    stand.deploy("1.1.0")
    text = (stand.services.state / "announcements.jsonl").read_text()
    first = json.loads(next(line for line in text.split("\n") if line))["text"]
    assert first == (
        "notes 1.1.0: deployment to production begins. Expected downtime: none. Expected duration: up to "
        "26 min. Contact: +44 20 7946 0000. Monitoring: http://admin"
    )


def test_the_record_of_a_deployment_can_be_verified(stand):
    stand.deploy("1.1.0")
    assert stand.journal.verify() == []
