"""The watch on a fake clock: five outcomes, each reached for its reason and at its time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.watch import Outcome
from gonogo.watch.decision import Choice, decide


def after(seconds: float, then: float, before: float = 0.0):
    return lambda at_s: then if at_s >= seconds else before


def by_metric(result) -> dict[str, Outcome]:
    return {judgement.metric: judgement.outcome for judgement in result.judgements}


def test_a_healthy_release_passes_at_the_end_of_fifteen_minutes_and_not_before(watched):
    result = watched.watch(watched.service(), watched.baseline())
    assert result.outcome is Outcome.PASS, result.reason
    assert watched.elapsed_s == 900
    assert watched.pages == []


def test_every_judgement_is_a_sentence_with_numbers(watched):
    result = watched.watch(watched.service(), watched.baseline(), watch_s=300)
    assert len(result.judgements) == 8
    for judgement in result.judgements:
        assert any(character.isdigit() for character in judgement.reason), judgement


def test_samples_and_judgements_are_journalled_each_step(watched):
    watched.watch(watched.service(), watched.baseline(), watch_s=300)
    kinds = [entry.kind for entry in watched.journal.entries(release="rel-1")]
    assert kinds.count(EntryKind.WATCH_SAMPLE) == 21
    assert kinds.count(EntryKind.WATCH_JUDGED) == 20
    assert watched.journal.verify() == []


def test_half_of_the_requests_failing_is_a_fail_in_the_first_minute(watched):
    result = watched.watch(watched.service(error_ratio=after(20, 0.5)), watched.baseline())
    assert result.outcome is Outcome.FAIL
    assert watched.elapsed_s <= 60
    assert "error-ratio" in result.reason


def test_errors_between_the_limits_are_held_paged_once_and_rolled_back_when_nobody_decides(watched):
    result = watched.watch(watched.service(error_ratio=lambda _: 0.04), watched.baseline())
    assert result.outcome is Outcome.FAIL
    assert "nobody decided within 600 s" in result.reason
    assert len(watched.pages) == 1
    assert 600 < watched.elapsed_s < 720


def test_a_person_who_accepts_ends_the_hold(watched):
    def accept(at_s: float) -> None:
        if at_s == 200:
            decide(
                watched.journal,
                release="rel-1",
                deployment="dep-1",
                choice=Choice.ACCEPT,
                person="ada",
                reason="known noise",
            )

    watched.on_sleep = accept
    result = watched.watch(watched.service(error_ratio=lambda _: 0.04), watched.baseline())
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.decision.choice is Choice.ACCEPT
    assert result.reason == "ada accepted the release: known noise"
    assert watched.elapsed_s <= 201


def test_a_person_who_rolls_back_is_obeyed_within_a_second(watched):
    def refuse(at_s: float) -> None:
        if at_s == 100:
            decide(
                watched.journal,
                release="rel-1",
                deployment="dep-1",
                choice=Choice.ROLL_BACK,
                person="ada",
                reason="data looks wrong",
            )

    watched.on_sleep = refuse
    result = watched.watch(watched.service(), watched.baseline())
    assert result.outcome is Outcome.ABORTED
    assert watched.elapsed_s <= 101


def test_a_decision_on_another_deployment_does_not_count(watched):
    decide(
        watched.journal,
        release="rel-1",
        deployment="dep-0",
        choice=Choice.ROLL_BACK,
        person="ada",
        reason="old",
    )
    assert watched.watch(watched.service(), watched.baseline(), watch_s=300).outcome is Outcome.PASS


def test_accepting_does_not_excuse_a_safety_limit(watched):
    decide(
        watched.journal,
        release="rel-1",
        deployment="dep-1",
        choice=Choice.ACCEPT,
        person="ada",
        reason="in a hurry",
    )
    service = watched.service(healthy=lambda _: False)
    result = watched.watch(service, watched.baseline(), unhealthy_s=0)
    assert result.outcome is Outcome.FAIL


def test_a_hold_that_gets_worse_is_not_waited_for(watched):
    service = watched.service(error_ratio=lambda s: 0.04 if s < 300 else 0.4)
    result = watched.watch(service, watched.baseline())
    assert result.outcome is Outcome.FAIL
    assert 300 < watched.elapsed_s < 480
    assert len(watched.pages) == 1


def test_a_fail_is_sticky_though_the_errors_stop(watched):
    service = watched.service(error_ratio=lambda s: 0.05 if s < 120 else 0.0)
    result = watched.watch(service, watched.baseline())
    assert result.outcome is Outcome.FAIL
    assert by_metric(result)["error-ratio"] is Outcome.FAIL


def test_without_any_traffic_there_is_no_data_and_never_a_pass(watched):
    result = watched.watch(watched.service(rate_per_s=0.0), watched.baseline(), watch_s=120)
    assert result.outcome is Outcome.NO_DATA
    assert watched.elapsed_s == 480, "extended twice: 2, 4, 8 minutes"


def test_without_a_baseline_latency_and_memory_are_no_data_and_the_watch_cannot_pass(watched):
    result = watched.watch(watched.service(), None, watch_s=300, watch_extensions=0)
    assert result.outcome is Outcome.NO_DATA
    assert by_metric(result)["memory"] is Outcome.NO_DATA


def test_thin_traffic_is_filled_with_synthetic_calls_and_then_passes(watched):
    service = watched.service(rate_per_s=0.1)
    result = watched.watch(service, watched.baseline(rate_per_s=1.1), calls=service.call)
    assert result.outcome is Outcome.PASS, result.reason
    assert 850 <= service._totals[0] - 90 <= 910


def test_enough_real_traffic_turns_synthetic_calls_off(watched):
    sent = []
    service = watched.service(rate_per_s=1.5)

    async def call() -> None:
        sent.append(watched.elapsed_s)
        await service.call()

    watched.watch(service, watched.baseline(), calls=call, watch_s=120, watch_extensions=0)
    assert max(sent) <= 15, "only until the first step showed real traffic"


def test_synthetic_calls_that_nobody_answers_are_errors_though_the_service_cannot_count_them(watched):
    async def call() -> None:
        raise GonogoError("http.unreachable", "refused")

    result = watched.watch(watched.service(rate_per_s=0.0), watched.baseline(), calls=call)
    assert result.outcome is Outcome.FAIL
    assert watched.elapsed_s <= 60


def test_a_latency_of_twice_the_baseline_fails_at_the_look(watched):
    result = watched.watch(watched.service(latency_s=lambda _: 0.009), watched.baseline(), watch_s=300)
    assert result.outcome is Outcome.FAIL
    assert result.reason.startswith("latency-p")
    assert watched.elapsed_s == 300


def test_memory_of_twice_the_baseline_fails_at_the_look(watched):
    service = watched.service(memory=lambda s: 170e6 + 1e3 * (s % 60))
    result = watched.watch(service, watched.baseline(), watch_s=750)
    assert (result.outcome, result.reason.split(":")[0]) == (Outcome.FAIL, "memory")


def test_tools_that_fail_provably_more_than_before_are_a_fail_and_as_before_are_not(watched):
    often = watched.baseline(span_s=3600, tool_error_ratio=lambda _: 0.05)
    as_before = watched.watch(watched.service(tool_error_ratio=lambda _: 0.05), often, watch_s=300)
    assert by_metric(as_before)["tool-error-ratio"] is Outcome.PASS


def test_tools_that_begin_to_fail_are_a_fail(watched):
    result = watched.watch(watched.service(tool_error_ratio=lambda _: 0.5), watched.baseline())
    assert result.outcome is Outcome.FAIL
    assert result.reason.startswith("tool-error-ratio")


def test_an_unreachable_service_fails_after_half_a_minute(watched):
    result = watched.watch(watched.service(reachable=lambda s: s < 60), watched.baseline())
    assert result.outcome is Outcome.FAIL
    assert watched.elapsed_s == 90
    assert "no answer" in result.reason


def test_a_short_fit_of_ill_health_is_survived_but_seen(watched):
    service = watched.service(healthy=lambda s: not 60 <= s < 85)
    result = watched.watch(service, watched.baseline(), watch_s=300)
    assert result.outcome is Outcome.PASS
    assert any("unhealthy for" in str(data) for _, data in watched.told)


def test_a_warm_up_is_not_counted_but_health_in_it_is(watched):
    slow_start = watched.service(error_ratio=lambda s: 0.9 if s < 60 else 0.0)
    result = watched.watch(slow_start, watched.baseline(), warm_up_s=75, watch_s=300)
    assert result.outcome is Outcome.PASS, result.reason
    assert watched.elapsed_s == 375


def test_a_sick_release_is_not_saved_by_its_warm_up(watched):
    service = watched.service(healthy=lambda _: False)
    result = watched.watch(service, watched.baseline(), warm_up_s=600)
    assert result.outcome is Outcome.FAIL
    assert watched.elapsed_s == 30


@pytest.mark.parametrize(
    ("restarts", "outcome"), [(0, Outcome.PASS), (2, Outcome.INCONCLUSIVE), (3, Outcome.FAIL)]
)
def test_processes_that_die_deny_a_pass_and_a_crash_loop_fails(watched, restarts, outcome):
    service = watched.service(restarts=lambda s: restarts if s > 100 else 0)
    assert watched.watch(service, watched.baseline(), watch_s=300, watch_extensions=0).outcome is outcome


class KilledError(Exception):
    pass


@pytest.mark.parametrize("at_s", [1, 15, 16, 130, 299])
def test_a_watch_that_was_killed_goes_on_where_it_stopped(watched, at_s):
    baseline = watched.baseline()
    service = watched.service()

    def kill(now_s: float) -> None:
        if now_s >= at_s:
            watched.on_sleep = lambda _: None
            raise KilledError

    watched.on_sleep = kill
    with pytest.raises(KilledError):
        watched.watch(service, baseline, watch_s=300)
    result = watched.watch(service, baseline, watch_s=300)
    assert result.outcome is Outcome.PASS, result.reason
    assert watched.elapsed_s == 300


@pytest.mark.parametrize("at_s", [20, 100, 599])
@pytest.mark.parametrize("away_s", [600, 7200])
def test_the_time_between_a_kill_and_the_resume_is_not_time_watched(watched, at_s, away_s):
    """Neither may it prove a release, nor use up the extensions, however long nobody looked."""
    baseline = watched.baseline()
    service = watched.service()

    def kill(now_s: float) -> None:
        if now_s >= at_s:
            watched.on_sleep = lambda _: None
            raise KilledError

    watched.on_sleep = kill
    with pytest.raises(KilledError):
        watched.watch(service, baseline)
    watched.now += timedelta(seconds=away_s)
    result = watched.watch(service, baseline)
    assert result.outcome is Outcome.PASS, result.reason
    assert 900 <= watched.elapsed_s - away_s <= 915
    assert "after 900 s" in result.reason


def test_a_fail_before_the_kill_is_a_fail_after_it(watched):
    baseline = watched.baseline()
    service = watched.service(error_ratio=lambda s: 0.04 if s < 200 else 0.0)

    def kill(now_s: float) -> None:
        if now_s >= 400:
            watched.on_sleep = lambda _: None
            raise KilledError

    watched.on_sleep = kill
    with pytest.raises(KilledError):
        watched.watch(service, baseline)
    assert len(watched.pages) == 1
    result = watched.watch(service, baseline)
    assert result.outcome is Outcome.FAIL
    assert "nobody decided" in result.reason
    assert len(watched.pages) == 1, "paged once, not again after the interruption"


def test_a_service_whose_counters_went_back_is_not_counted_and_fails_when_it_stays_so(watched):
    baseline = watched.baseline()
    service = watched.service()
    honest = service.sample

    async def forgetful(generation: str):
        if watched.elapsed_s == 300:
            service._totals[:] = [0.0, 0.0, 0.0]
            service._buckets[:] = [0.0] * len(service._buckets)
        return await honest(generation)

    service.sample = forgetful
    result = watched.watch(service, baseline)
    assert result.outcome is Outcome.FAIL
    assert "went back" in result.reason
    assert watched.elapsed_s == 330
