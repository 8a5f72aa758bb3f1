"""The steps of a deployment, as a table. Each looks before it acts and looks again after.

Budgets are those of the written plan: backup 2 min, drain 3, deploy 5, verify 3, smoke 5, watch 15. A step
returns what it observed, with a ``text`` for people; it raises when the world is not as it must be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from gonogo.analysis.bounds import wilson
from gonogo.config.schema import Thresholds
from gonogo.deploy.ledger import DeploymentRecord, deployments
from gonogo.deploy.looking import generation_named, observed_serving, until
from gonogo.deploy.platform import Generation
from gonogo.deploy.run import Facts, Run, Step
from gonogo.deploy.services import DeployServices
from gonogo.model.codec import to_json
from gonogo.model.errors import GonogoError
from gonogo.model.verdict import Verdict
from gonogo.watch.baseline import Baseline, collect_baseline, latest_baseline, record_baseline
from gonogo.watch.live import WatchPlan, watch
from gonogo.watch.traffic import SyntheticTraffic

OBSERVE_TIMEOUT_S = 30.0
QUICK_BASELINE_S = 90.0
QUICK_BASELINE_WINDOWS = 12
NEAR_ZERO_RATIO = 0.01
NEAR_ZERO_MIN = 2


async def announce(run: Run) -> Facts:
    """Tell people that it begins."""
    run.announce("started")
    return {"text": f"up to {run.plan_s / 60:.0f} min"}


async def snapshot(run: Run) -> Facts:
    """Record what serves now; refuse to continue if that is already failing."""
    services, limits = run.services, run.services.environment.thresholds
    serving = await services.platform.serving()
    sample = await services.reader.sample(serving.generation)
    if not sample.healthy:
        raise _breaching(f"{serving.version} is not healthy")
    answer = await services.calls.journey(services.endpoint)
    baseline = latest_baseline(services.journal, run.record.release)
    if baseline is None or baseline.generation != serving.generation:
        baseline = await _quick_baseline(run, serving.generation, limits)
    series = baseline.series
    if wilson(series.errors, series.requests).lower > limits.error_ratio_rollback:
        raise _breaching(f"{serving.version} fails {series.errors} of {series.requests} requests")
    return {
        "text": f"{serving.version} ({serving.generation}) serves, {sample.connections} connections",
        **asdict(serving),
        "server": [answer.server_name, answer.server_version],
        "sample": to_json(sample),
        "baseline": {"span_s": baseline.span_s, "requests": series.requests, "errors": series.errors},
    }


async def stage(run: Run) -> Facts:
    """Start the new generation beside the old one, without traffic."""
    found = await generation_named(run.services, run.record.generation)
    if found is None or found.state == "starting":
        await run.services.platform.stage(run.record.generation, run.manifest)
        found = await generation_named(run.services, run.record.generation)
    if found is None or found.state not in {"staged", "active"}:
        state = found.state if found else "unknown to the platform"
        raise GonogoError(
            "deploy.not-staged",
            f"generation {run.record.generation} is {state}; expected staged",
            note=found.error if found and found.error else None,
            exit_code=1,
        )
    return {"text": f"{found.id} staged, {len(found.workers)} workers", "private_url": found.private_url}


async def verify(run: Run) -> Facts:
    """Is the new generation up and what we think it is."""
    found = await _candidate(run)
    faults = [
        fault
        for broken, fault in (
            (found.version != run.record.version, f"version is {found.version!r}"),
            (not found.workers, "it has no workers"),
            (found.restarts > 0, f"its workers died {found.restarts} times"),
            (bool(found.error), found.error),
            (found.state not in {"staged", "active"}, f"it is {found.state}"),
        )
        if broken
    ]
    if faults:
        raise GonogoError(
            "deploy.not-verified",
            f"generation {found.id}: {'; '.join(faults)}; expected {run.record.version} staged and steady",
            exit_code=1,
        )
    return {
        "text": f"{found.version}, {len(found.workers)} workers, 0 restarts",
        "workers": list(found.workers),
        "config_hash": found.config_hash,
    }


async def smoke(run: Run) -> Facts:
    """Does a real call work, in both eras, on its private address."""
    found = await _candidate(run)
    answers = await run.services.calls.smoke(_private_endpoint(run, found))
    first = answers[0]
    tool = f", tool {first.tool}" if first.tool else ""
    eras = " and ".join(answer.era for answer in answers)
    return {
        "text": f"{first.server_name} {first.server_version} answers in {eras}{tool}",
        "server": [first.server_name, first.server_version],
        "answers": [asdict(answer) for answer in answers],
    }


async def switch(run: Run) -> Facts:
    """Move traffic; believed only when seen from outside."""
    services, candidate = run.services, run.record.generation
    serving = await services.platform.serving()
    began = services.clock()
    if serving.generation != candidate:
        require_go(services, run.record)
        serving = await services.platform.serving()  # judging took time: the last look before the act
        if serving.generation != run.record.previous:
            raise GonogoError(
                "deploy.moved",
                f"{serving.generation} serves, got it since the snapshot; expected {run.record.previous}",
                hint="somebody else changed the service; start again when that has ended",
                exit_code=1,
            )
        run.lease.check()
        await _activate(run, candidate)
    server = run.record.finished["smoke"]["server"]
    seen, _ = await observed_serving(services, candidate, server, timeout_s=OBSERVE_TIMEOUT_S)
    took_s = (services.clock() - began).total_seconds()
    return {
        "text": f"{run.record.finished['snapshot']['version']} → {seen.version} in {took_s:.2f} s",
        **asdict(seen),
        "switched_in_s": round(took_s, 3),
    }


async def drain(run: Run) -> Facts:
    """Wait until the old generation has finished what it had; it stays warm."""
    services, previous = run.services, run.record.previous
    before = int(run.record.finished["snapshot"]["sample"]["connections"])
    near_zero = max(NEAR_ZERO_RATIO * before, NEAR_ZERO_MIN)

    async def drained() -> Generation | None:
        found = await generation_named(services, previous)
        if found is None:
            raise _no_way_back(previous, "gone")
        quiet = found.in_flight == 0 and found.streams == 0 and found.connections <= near_zero
        return found if found.state == "warm" or quiet else None

    found = await until(services, drained, timeout_s=services.environment.drain_timeout_s)
    reached = found is None
    found = found or await generation_named(services, previous)
    if found is None or found.state not in {"warm", "draining"}:
        raise _no_way_back(previous, found.state if found else "gone")
    left = f"{found.in_flight} in flight, {found.connections} connections"
    return {
        "text": f"{previous} is {found.state}: {left}{', deadline reached' if reached else ''}",
        "deadline_reached": reached,
        "in_flight": found.in_flight,
        "connections": found.connections,
        "streams": found.streams,
    }


async def watch_release(run: Run) -> Facts:
    """Look after the new version until there is a verdict."""
    services, record = run.services, run.record
    baseline = latest_baseline(services.journal, record.release)
    usable = baseline if baseline and baseline.generation == record.previous else None
    result = await watch(
        WatchPlan(record.id, record.release, record.generation, services.environment.thresholds),
        usable,
        reader=services.reader,
        journal=services.journal,
        clock=services.clock,
        sleep=services.sleep,
        tell=lambda text, data: run.note("watch", text, data),
        page=lambda text: run.announce("held", text),
        traffic=_traffic(run),
    )
    return {
        "text": f"{result.outcome}: {result.reason}",
        "outcome": result.outcome.value,
        "reason": result.reason,
        "decision": result.decision.choice.value if result.decision else None,
        "verdict_at": result.ended_at.isoformat(),
        "judgements": [to_json(judgement) for judgement in result.judgements],
    }


async def done(run: Run) -> Facts:
    """Look once more, then let go of generations older than the way back."""
    services, record = run.services, run.record
    server = record.finished["smoke"]["server"]
    seen, _ = await observed_serving(services, record.generation, server, timeout_s=OBSERVE_TIMEOUT_S)
    known = deployments(services.journal, record.environment)
    ours = {generation for one in known for generation in (one.generation, one.previous)}
    older = ours - {record.generation, record.previous}
    retired = []
    for generation in await services.platform.generations():
        if generation.id in older and generation.state in {"warm", "staged"}:
            run.lease.check()
            await services.platform.retire(generation.id)
            retired.append(generation.id)
    text = f"{seen.version} ({seen.generation}) serves; {record.previous} stays warm"
    return {"text": text, "retired": retired, **asdict(seen)}


def steps_for(limits: Thresholds) -> tuple[Step, ...]:
    """The table, with the watch as long as ``limits`` say."""
    return (
        Step("announce", 30.0, announce),
        Step("snapshot", 120.0, snapshot),
        Step("stage", 300.0, stage),
        Step("verify", 180.0, verify),
        Step("smoke", 300.0, smoke),
        Step("switch", 60.0, switch),
        Step("drain", 180.0, drain),
        Step("watch", limits.watch_s + limits.warm_up_s, watch_release, bounded=False),
        Step("done", 60.0, done),
    )


def require_go(services: DeployServices, record: DeploymentRecord) -> None:
    """The gate must be open, for exactly what this deployment was started with.

    Raises:
        GonogoError: deploy.not-go or deploy.changed.
    """
    gate = services.gate()
    if gate.fingerprint != record.fingerprint:
        raise GonogoError(
            "deploy.changed",
            f"the release changed under the deployment, got fingerprint {gate.fingerprint[:12]}; "
            f"expected {record.fingerprint[:12]}",
            hint="gonogo check, then deploy what was checked",
            exit_code=1,
        )
    if gate.verdict is not Verdict.GO:
        raise GonogoError(
            "deploy.not-go",
            f"the gate says {gate.verdict} with {len(gate.blocking)} blocking; expected GO",
            hint=f"gonogo check {record.version}",
            exit_code=gate.verdict.exit_code,
        )


async def _activate(run: Run, generation: str) -> None:
    """Activate; an answer that got lost does not matter if it happened."""
    try:
        await run.services.platform.activate(generation)
    except GonogoError:
        if (await run.services.platform.serving()).generation != generation:
            raise


async def _candidate(run: Run) -> Generation:
    found = await generation_named(run.services, run.record.generation)
    if found is None:
        raise GonogoError(
            "deploy.not-staged", f"generation {run.record.generation} is gone; expected staged", exit_code=1
        )
    return found


async def _quick_baseline(run: Run, generation: str, limits: Thresholds) -> Baseline:
    """A short one, when none was recorded for the generation that serves: thin, and the watch knows it."""
    services = run.services
    span_s = min(limits.baseline_s, QUICK_BASELINE_S)
    run.note("snapshot", f"no baseline of {generation} is recorded; measuring one for {span_s:g} s")
    traffic = _traffic(run)

    async def wait(seconds: float) -> None:
        await traffic.until(services.clock() + timedelta(seconds=seconds), served=0, span_s=1.0)

    baseline = await collect_baseline(
        services.reader,
        span_s,
        min(limits.step_s, span_s / QUICK_BASELINE_WINDOWS),
        services.clock,
        generation=generation,
        sleep=wait,
    )
    record_baseline(services.journal, baseline, release=run.record.release)
    return baseline


def _traffic(run: Run) -> SyntheticTraffic:
    services = run.services

    async def send() -> None:
        await services.calls.ping(services.endpoint)

    return SyntheticTraffic(send, clock=services.clock, sleep=services.sleep)


def _private_endpoint(run: Run, generation: Generation) -> str:
    return generation.private_url.rstrip("/") + run.services.environment.mcp_path


def _breaching(what: str) -> GonogoError:
    return GonogoError(
        "deploy.already-breaching",
        f"the service is past a rollback limit before anything was changed: {what}",
        hint="mend what serves first",
        exit_code=1,
    )


def _no_way_back(generation: str, state: str) -> GonogoError:
    return GonogoError(
        "deploy.no-way-back",
        f"the previous generation {generation} is {state}; expected draining or warm",
        exit_code=1,
    )


def plan_of(steps: tuple[Step, ...]) -> list[Mapping[str, Any]]:
    """The table as it is recorded."""
    return [{"step": step.name, "budget_s": step.budget_s} for step in steps]
