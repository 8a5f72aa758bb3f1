"""The watch after a switch: looks every step, judges every look, ends in one of five outcomes.

A FAIL is sticky. An inconclusive end doubles the watch, a few times, and then a person decides. Errors
that are provably above the limit but below the one that rolls back are *held*: a person is paged, and if
nobody decides in time that is a FAIL too. A person's decision is an entry of the journal.

Everything a watch knows is in the journal, so a watch that was killed goes on where it stopped; the time
in which nobody looked is not time watched. It does not roll back (``deploy`` does) and does not know how
metrics are read (``watch.reader``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from gonogo.config.schema import Thresholds
from gonogo.journal.journal import Journal
from gonogo.model.clock import Clock
from gonogo.model.codec import from_json, to_json
from gonogo.model.entry import EntryKind
from gonogo.model.watch import Judgement, Outcome
from gonogo.watch.baseline import Baseline
from gonogo.watch.decision import Choice, Decision, decision_on
from gonogo.watch.judging import judge
from gonogo.watch.rates import ERRORS, TOOL_ERRORS
from gonogo.watch.reader import Observation, SampleReader, Sleep, observe
from gonogo.watch.safety import recent_counts
from gonogo.watch.traffic import SyntheticTraffic

Tell = Callable[[str, Mapping[str, Any]], None]

MAX_GAP_STEPS = 2.0
"""Between two looks further apart than so many steps nobody watched; one step of it counts."""


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What is watched and by which limits.

    Attributes:
        deployment: its id; samples, judgements and decisions are entries that carry it.
        release: id of the release.
        generation: the one that serves now.
    """

    deployment: str
    release: str
    generation: str
    limits: Thresholds


@dataclass(frozen=True, slots=True)
class WatchResult:
    """How a watch ended.

    Attributes:
        reason: one sentence with numbers.
        judgements: the last ones.
        ended_at: the moment of the verdict (UTC).
        decision: a person's act, if one ended the watch.
    """

    outcome: Outcome
    reason: str
    judgements: tuple[Judgement, ...]
    began_at: datetime
    ended_at: datetime
    decision: Decision | None = None


@dataclass(slots=True)
class _State:
    began_at: datetime
    observations: list[Observation] = field(default_factory=list)
    failed: dict[str, Judgement] = field(default_factory=dict)
    held_since: datetime | None = None
    looks: int = 0


class _Watch:
    def __init__(
        self,
        plan: WatchPlan,
        baseline: Baseline | None,
        reader: SampleReader,
        journal: Journal,
        clock: Clock,
        tell: Tell,
        page: Callable[[str], None],
        traffic: SyntheticTraffic,
    ) -> None:
        self.plan = plan
        self.baseline = baseline
        self.reader = reader
        self.journal = journal
        self.clock = clock
        self.tell = tell
        self.page = page
        self.traffic = traffic
        self.state = self._restored()

    async def run(self) -> WatchResult:
        if not self.state.observations:
            await self._look()
        while True:
            await self._wait()
            await self._look()
            judgements, at_look = self._judged()
            result = self._concluded(judgements, at_look=at_look)
            self._record(judgements, result)
            if result is not None:
                return result

    async def _wait(self) -> None:
        """Until the next step of the grid that began with the watch; steps that passed are not made up."""
        step_s = self.plan.limits.step_s
        passed_s = (self.clock() - self.state.began_at).total_seconds()
        due = self.state.began_at + timedelta(seconds=(passed_s // step_s + 1) * step_s)
        lately_s = min(max(passed_s, step_s), self.plan.limits.sustained_s)
        requests, _ = recent_counts(self.state.observations, lately_s)
        await self.traffic.until(due, served=requests, span_s=lately_s, interrupted=self._decided)

    def _decided(self) -> bool:
        return decision_on(self.journal, self.plan.release, self.plan.deployment) is not None

    async def _look(self) -> None:
        known = [seen.sample for seen in self.state.observations if seen.sample]
        seen = await observe(
            self.reader,
            self.plan.generation,
            self.clock,
            before=known[-1] if known else None,
            unanswered=self.traffic.unanswered,
        )
        self.state.observations.append(seen)
        self._append(EntryKind.WATCH_SAMPLE, {"observation": to_json(seen)})

    def _judged(self) -> tuple[tuple[Judgement, ...], bool]:
        at_look = self._length_s(self.state.looks) <= self._elapsed_s()
        judgements = judge(
            self._counted(), self.state.observations, self.baseline, self.plan.limits, at_look=at_look
        )
        for judgement in judgements:
            if judgement.outcome is Outcome.FAIL:
                self.state.failed.setdefault(judgement.metric, judgement)
        sticky = tuple(self.state.failed.get(judgement.metric, judgement) for judgement in judgements)
        known = {judgement.metric for judgement in judgements}
        forgotten = tuple(failed for metric, failed in self.state.failed.items() if metric not in known)
        return sticky + forgotten, at_look

    def _concluded(self, judgements: tuple[Judgement, ...], *, at_look: bool) -> WatchResult | None:
        decision = decision_on(self.journal, self.plan.release, self.plan.deployment)
        if decision is not None and decision.choice is Choice.ROLL_BACK:
            return self._result(Outcome.ABORTED, decision.sentence, judgements, decision)
        failed = [judgement for judgement in judgements if judgement.outcome is Outcome.FAIL]
        final = [judgement for judgement in failed if not self._may_hold(judgement)]
        if final:
            return self._result(Outcome.FAIL, f"{final[0].metric}: {final[0].reason}", judgements)
        if decision is not None:
            return self._result(Outcome.INCONCLUSIVE, decision.sentence, judgements, decision)
        if failed:
            return self._held(failed[0], judgements)
        if not at_look:
            return None
        if all(judgement.outcome is Outcome.PASS for judgement in judgements):
            reason = f"all {len(judgements)} metrics pass after {self._elapsed_s():.0f} s"
            return self._result(Outcome.PASS, reason, judgements)
        return self._extended(judgements)

    def _held(self, failed: Judgement, judgements: tuple[Judgement, ...]) -> WatchResult | None:
        """Between the limit and the rate that rolls back: page once, give people time, then give up."""
        now = self.clock()
        decide_s = self.plan.limits.decide_s
        sentence = f"{failed.metric}: {failed.reason}"
        if self.state.held_since is None:
            self.state.held_since = now
            self.page(f"held, roll back in {decide_s:.0f} s unless somebody decides; {sentence}")
        if (now - self.state.held_since).total_seconds() < decide_s:
            return None
        reason = f"nobody decided within {decide_s:.0f} s; {sentence}"
        return self._result(Outcome.FAIL, reason, judgements)

    def _extended(self, judgements: tuple[Judgement, ...]) -> WatchResult | None:
        self.state.looks += 1
        open_ones = [j for j in judgements if j.outcome is not Outcome.PASS]
        sentence = f"{open_ones[0].metric}: {open_ones[0].reason}"
        if self.state.looks <= self.plan.limits.watch_extensions:
            self.tell(
                f"inconclusive, watching until {self._length_s(self.state.looks):.0f} s; {sentence}", {}
            )
            return None
        blind = all(j.outcome in {Outcome.NO_DATA, Outcome.PASS} for j in judgements)
        return self._result(Outcome.NO_DATA if blind else Outcome.INCONCLUSIVE, sentence, judgements)

    def _may_hold(self, failed: Judgement) -> bool:
        """Only an error rate may be held, and only while what was seen lately does not roll back."""
        if failed.metric not in {ERRORS, TOOL_ERRORS}:
            return False
        limit = self.plan.limits.error_ratio_rollback
        if failed.metric == TOOL_ERRORS:
            return (failed.candidate or 0.0) <= limit
        requests, errors = recent_counts(self.state.observations, self.plan.limits.sustained_s)
        recent = errors / requests if requests else 0.0
        return recent <= limit

    def _counted(self) -> list[Observation]:
        """Observations after the declared warm-up; the last one before its end is where counting starts."""
        end = self.state.began_at + timedelta(seconds=self.plan.limits.warm_up_s)
        late = [seen for seen in self.state.observations if seen.at > end]
        early = [seen for seen in self.state.observations if seen.at <= end and seen.sample]
        return early[-1:] + late

    def _length_s(self, looks: int) -> float:
        return self.plan.limits.warm_up_s + self.plan.limits.watch_s * 2.0**looks

    def _elapsed_s(self) -> float:
        """Time watched: since the beginning, without the time between a kill and the resume."""
        step_s = self.plan.limits.step_s
        times = [seen.at for seen in self.state.observations]
        gaps_s = ((later - earlier).total_seconds() for earlier, later in pairwise(times))
        unwatched_s = sum(gap_s - step_s for gap_s in gaps_s if gap_s > MAX_GAP_STEPS * step_s)
        return (self.clock() - self.state.began_at).total_seconds() - unwatched_s

    def _result(
        self,
        outcome: Outcome,
        reason: str,
        judgements: tuple[Judgement, ...],
        decision: Decision | None = None,
    ) -> WatchResult:
        return WatchResult(outcome, reason, judgements, self.state.began_at, self.clock(), decision)

    def _record(self, judgements: tuple[Judgement, ...], result: WatchResult | None) -> None:
        held = self.state.held_since
        body = {
            "elapsed_s": round(self._elapsed_s(), 3),
            "judgements": [to_json(judgement) for judgement in judgements],
            "looks": self.state.looks,
            "held_since": held.isoformat() if held else None,
            "outcome": result.outcome.value if result else None,
            "reason": result.reason if result else None,
        }
        self._append(EntryKind.WATCH_JUDGED, body)
        worst = next((j for j in judgements if j.outcome is Outcome.FAIL), None)
        text = worst or next((j for j in judgements if j.metric == ERRORS), judgements[0])
        self.tell(f"{text.metric}: {text.reason}", body)

    def _append(self, kind: EntryKind, body: Mapping[str, Any]) -> None:
        self.journal.append(
            kind, {"deployment": self.plan.deployment, **body}, actor="gonogo", release=self.plan.release
        )

    def _restored(self) -> _State:
        state = _State(began_at=self.clock())
        kinds = frozenset({EntryKind.WATCH_SAMPLE, EntryKind.WATCH_JUDGED})
        for entry in self.journal.entries(release=self.plan.release, kinds=kinds):
            if entry.body["deployment"] != self.plan.deployment:
                continue
            if entry.kind is EntryKind.WATCH_SAMPLE:
                state.observations.append(from_json(Observation, entry.body["observation"]))
                continue
            state.looks = entry.body["looks"]
            held = entry.body["held_since"]
            state.held_since = datetime.fromisoformat(held) if held else None
            for body in entry.body["judgements"]:
                judgement = from_json(Judgement, body)
                if judgement.outcome is Outcome.FAIL:
                    state.failed.setdefault(judgement.metric, judgement)
        if state.observations:
            state.began_at = state.observations[0].at
            self.traffic.unanswered = state.observations[-1].unanswered
        return state


async def watch(
    plan: WatchPlan,
    baseline: Baseline | None,
    *,
    reader: SampleReader,
    journal: Journal,
    clock: Clock,
    sleep: Sleep,
    tell: Tell,
    page: Callable[[str], None],
    traffic: SyntheticTraffic | None = None,
) -> WatchResult:
    """Watch until there is a verdict.

    Args:
        baseline: without one, latency and memory are NO_DATA and the watch cannot pass.
        tell: called with a sentence and the judgements after every evaluation.
        page: called once when the release is held and a person must decide.
        traffic: sends synthetic calls where real ones are too few; None sends none.
    """
    sender = traffic or SyntheticTraffic(None, clock=clock, sleep=sleep)
    return await _Watch(plan, baseline, reader, journal, clock, tell, page, sender).run()
