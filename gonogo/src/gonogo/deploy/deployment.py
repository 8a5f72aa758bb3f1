"""Deploying a release: refuse what must not start, then run the table durably, then undo or finish.

The steps stand in ``deploy.steps``, going back in ``deploy.undo``, durability in ``deploy.durable``. A
deployment that was killed is finished by ``resume``; one that waits for a person goes on by ``resume``
once a decision is in the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from gonogo.adapters.lease import Lease
from gonogo.config.schema import Manifest
from gonogo.deploy.ledger import DeploymentRecord, Ending, last_deployment, record_of
from gonogo.deploy.progress import Progress
from gonogo.deploy.run import Facts, Run, Step
from gonogo.deploy.services import DeployServices
from gonogo.deploy.steps import plan_of, require_go, steps_for
from gonogo.deploy.undo import undo
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.release import Release
from gonogo.model.watch import Outcome
from gonogo.watch.decision import Choice, decision_on

if TYPE_CHECKING:
    from gonogo.deploy.durable import RunStep


@dataclass(frozen=True, slots=True)
class DeploymentResult:
    """How a deployment ended.

    Attributes:
        reason: one sentence.
        error: id, message, hint and note of what stopped it, if something did.
        rollback_s: from the verdict until the previous version was seen to serve, seconds.
        serving: id of the generation that the record says serves now.
    """

    deployment: str
    release: str
    version: str
    ending: Ending
    reason: str
    error: dict[str, Any] | None = None
    rollback_s: float | None = None
    serving: str = ""

    @property
    def exit_code(self) -> int:
        """0 done, 1 rolled back, aborted or failed, 3 waiting for a person."""
        return self.ending.exit_code


def deploy(
    services: DeployServices,
    release: Release,
    manifest: Manifest,
    *,
    actor: str,
    resume: bool,
    progress: Progress,
) -> DeploymentResult:
    """Put ``release`` into the environment of ``services``, or finish what was begun.

    Raises:
        GonogoError: deploy.locked, deploy.unfinished, deploy.waiting, deploy.not-go, deploy.changed or
            deploy.nothing-to-resume; then nothing was changed.
    """
    return asyncio.run(_deploy(services, release, manifest, actor, resume, progress))


async def _deploy(
    services: DeployServices,
    release: Release,
    manifest: Manifest,
    actor: str,
    resume: bool,
    progress: Progress,
) -> DeploymentResult:
    try:
        with _lease(services, release) as lease:
            last = last_deployment(services.journal, services.environment_name)
            record = _resumed(last, release) if resume else _begun(services, release, last, actor)
            run = Run(services, record, manifest, lease, progress)
            return await _run(run)
    finally:
        for close in services.closing:
            await close()


async def _run(run: Run) -> DeploymentResult:
    # Imported here: DBOS takes half a second to import, which nothing but a deployment should pay.
    from gonogo.deploy.durable import run_durably

    services = run.services
    steps = steps_for(services.environment.thresholds)
    run.plan_s = sum(step.budget_s for step in steps)

    async def body(run_step: RunStep) -> Facts:
        facts = await _through(run, steps, run_step)
        return await run_step("finish", partial(_finish, run, facts))

    leg = f"{run.record.id}/{run.record.legs}"
    facts = await run_durably(services.state, services.environment_name, leg, body)
    run.refresh()
    ending = Ending(facts["outcome"])
    gone_back = ending in {Ending.ROLLED_BACK, Ending.ABORTED}
    return DeploymentResult(
        deployment=run.record.id,
        release=run.record.release,
        version=run.record.version,
        ending=ending,
        reason=facts["reason"],
        error=facts.get("error"),
        rollback_s=facts.get("rollback_s"),
        serving=run.record.previous if gone_back else run.record.generation,
    )


async def _through(run: Run, steps: tuple[Step, ...], run_step: RunStep) -> Facts:
    """Step by step; at the first that does not end well, back."""
    for step in steps:
        facts = await run_step(step.name, partial(run.perform, step))
        if "error" in facts:
            sentence = f"step {step.name}: {facts['error']['message']}"
            at = run.services.clock()
            undone = await run_step("undo", partial(_undo, run, sentence, step.name, at.isoformat()))
            return {**undone, "error": facts["error"]}
        if step.name == "watch":
            verdict = _after_watch(run, facts)
            if verdict is Ending.WAITING:
                return {"outcome": verdict.value, "reason": facts["reason"]}
            if verdict is Ending.ROLLED_BACK:
                return await run_step(
                    "undo", partial(_undo, run, facts["reason"], "watch", facts["verdict_at"])
                )
    return {"outcome": Ending.DONE.value, "reason": f"{run.record.version} serves"}


def _after_watch(run: Run, facts: Facts) -> Ending:
    """What the watch's outcome and a person's decision mean: go on, go back, or wait."""
    if facts["outcome"] == Outcome.PASS:
        return Ending.DONE
    if facts["outcome"] in {Outcome.FAIL, Outcome.ABORTED}:
        return Ending.ROLLED_BACK
    decision = decision_on(run.services.journal, run.record.release, run.record.id)
    if decision is None:
        return Ending.WAITING
    if decision.choice is Choice.ACCEPT:
        return Ending.DONE
    facts["reason"], facts["verdict_at"] = decision.sentence, decision.at.isoformat()
    return Ending.ROLLED_BACK


async def _undo(run: Run, reason: str, trigger: str, verdict_at: str) -> Facts:
    return await undo(run, reason=reason, trigger=trigger, verdict_at=datetime.fromisoformat(verdict_at))


async def _finish(run: Run, facts: Facts) -> Facts:
    """The last entry of this leg, once."""
    legs = run.record.legs
    run.refresh()
    if run.record.legs == legs:
        body = {key: facts.get(key) for key in ("outcome", "reason", "error", "rollback_s")}
        if facts["outcome"] in {Ending.DONE, Ending.WAITING}:
            run.announce(facts["outcome"], facts["reason"])
        run.append(EntryKind.DEPLOYMENT_FINISHED, body)
    return facts


def _begun(
    services: DeployServices, release: Release, last: DeploymentRecord | None, actor: str
) -> DeploymentRecord:
    """The entry with which a new deployment begins, after everything that forbids it was asked."""
    if last is not None and last.is_open:
        raise _still_open(last)
    at = services.clock()
    stamp = at.strftime("%Y%m%dt%H%M%S")
    deployment = f"dep-{services.service}-{release.version}-{stamp}"
    record = DeploymentRecord(
        id=deployment,
        release=release.id,
        version=release.version,
        environment=services.environment_name,
        generation=f"{release.version}-{stamp}",
        fingerprint=release.fingerprint.digest,
        actor=actor,
        started_at=at,
    )
    require_go(services, record)
    body = {
        "deployment": deployment,
        "environment": record.environment,
        "version": record.version,
        "generation": record.generation,
        "fingerprint": record.fingerprint,
        "plan": plan_of(steps_for(services.environment.thresholds)),
    }
    services.journal.append(EntryKind.DEPLOYMENT_STARTED, body, actor=actor, release=release.id)
    return record_of(services.journal, record.environment, deployment)


def _resumed(last: DeploymentRecord | None, release: Release) -> DeploymentRecord:
    if last is None or not last.is_open:
        raise GonogoError(
            "deploy.nothing-to-resume",
            f"no deployment to {release.environment} is unfinished",
            hint=f"gonogo deploy {release.version}",
        )
    if last.release != release.id:
        raise GonogoError(
            "deploy.unfinished",
            f"the unfinished deployment to {last.environment} is of {last.version}, got {release.version}",
            hint=f"gonogo deploy {last.version} --resume",
            exit_code=1,
        )
    return last


def _still_open(last: DeploymentRecord) -> GonogoError:
    if last.ending is Ending.WAITING:
        return GonogoError(
            "deploy.waiting",
            f"{last.id} of {last.version} to {last.environment} waits for a person's decision",
            hint=f"gonogo rollback, or decide and then gonogo deploy {last.version} --resume",
            exit_code=3,
        )
    return GonogoError(
        "deploy.unfinished",
        f"{last.id} of {last.version} to {last.environment} was interrupted and is not finished",
        hint=f"gonogo deploy {last.version} --resume",
        exit_code=1,
    )


@contextlib.contextmanager
def _lease(services: DeployServices, release: Release) -> Iterator[Lease]:
    what = f"{services.service} {release.version}"
    with Lease.take(
        services.state, services.environment_name, deployment=what, clock=services.clock
    ) as lease:
        yield lease
