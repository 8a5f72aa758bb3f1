"""Rolling back by hand: ``gonogo rollback``. It can be asked for at any time and repeated.

While a deployment runs, this only decides: the running deployment goes back, and this waits for it.
Otherwise it takes the lease and goes back itself, by the same way as a deployment would.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from gonogo.adapters.lease import Lease, LeaseHeldError
from gonogo.config.schema import Guest, Manifest
from gonogo.deploy.deployment import DeploymentResult
from gonogo.deploy.ledger import DeploymentRecord, Ending, last_deployment, record_of
from gonogo.deploy.looking import generation_named
from gonogo.deploy.progress import Progress
from gonogo.deploy.run import Run
from gonogo.deploy.services import DeployServices
from gonogo.deploy.undo import undo
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.watch.decision import Choice, decide

RUNNING_TIMEOUT_S = 300.0
_POLL_S = 0.25


def roll_back(
    services: DeployServices, environment: str, *, reason: str, actor: str, progress: Progress
) -> DeploymentResult:
    """Make the generation before the last deployment serve again.

    Args:
        environment: must be the one of ``services``: said twice, so that nobody goes back elsewhere.

    Raises:
        GonogoError: rollback.nothing, rollback.no-way-back, rollback.not-finished or
            rollback.wrong-environment.
    """
    if environment != services.environment_name:
        raise GonogoError(
            "rollback.wrong-environment",
            f"asked for {environment}, got services of {services.environment_name}; expected the same",
        )
    return asyncio.run(_roll_back(services, reason, actor, progress))


async def _roll_back(
    services: DeployServices, reason: str, actor: str, progress: Progress
) -> DeploymentResult:
    try:
        last = last_deployment(services.journal, services.environment_name)
        if last is None:
            raise _nothing(services.environment_name)
        try:
            lease = Lease.take(
                services.state, services.environment_name, deployment=last.id, clock=services.clock
            )
        except LeaseHeldError:
            return await _by_the_running_one(services, last, reason, actor)
        with lease:
            record = record_of(services.journal, last.environment, last.id)
            return await _by_hand(services, record, lease, reason, actor, progress)
    finally:
        for close in services.closing:
            await close()


async def _by_hand(
    services: DeployServices,
    record: DeploymentRecord,
    lease: Lease,
    reason: str,
    actor: str,
    progress: Progress,
) -> DeploymentResult:
    if not record.is_open:
        await _require_way_back(services, record)
    decide(
        services.journal,
        release=record.release,
        deployment=record.id,
        choice=Choice.ROLL_BACK,
        person=actor,
        reason=reason,
    )
    unused = Manifest(version=record.version, guest=Guest(target=""))
    run = Run(services, record, unused, lease, progress)
    facts = await undo(run, reason=f"{actor}: {reason}", trigger="person", verdict_at=services.clock())
    body = {key: facts.get(key) for key in ("outcome", "reason", "rollback_s")}
    run.append(EntryKind.DEPLOYMENT_FINISHED, body)
    return _result(record_of(services.journal, record.environment, record.id), facts["reason"])


async def _by_the_running_one(
    services: DeployServices, last: DeploymentRecord, reason: str, actor: str
) -> DeploymentResult:
    """Decide, then wait until the deployment that runs has gone back."""
    decide(
        services.journal,
        release=last.release,
        deployment=last.id,
        choice=Choice.ROLL_BACK,
        person=actor,
        reason=reason,
    )
    deadline = services.clock() + timedelta(seconds=RUNNING_TIMEOUT_S)
    while services.clock() < deadline:
        record = record_of(services.journal, last.environment, last.id)
        if record.ending is not None:
            return _result(record, reason)
        await services.sleep(_POLL_S)
    raise GonogoError(
        "rollback.not-finished",
        f"{last.id} has not gone back within {RUNNING_TIMEOUT_S:g} s of the decision",
        hint="end that process, then run gonogo rollback again",
        exit_code=1,
    )


async def _require_way_back(services: DeployServices, record: DeploymentRecord) -> None:
    """A deployment that ended can be undone while its generation serves and the one before is warm."""
    serving = await services.platform.serving()
    if record.ending is not Ending.DONE or serving.generation != record.generation:
        raise _nothing(services.environment_name)
    previous = await generation_named(services, record.previous)
    if previous is None or previous.state not in {"warm", "draining"}:
        state = previous.state if previous else "gone"
        raise GonogoError(
            "rollback.no-way-back",
            f"the generation before, {record.previous}, is {state}; expected warm",
            hint="deploy the previous version as a release of its own",
            exit_code=1,
        )


def _result(record: DeploymentRecord, reason: str) -> DeploymentResult:
    assert record.ending is not None
    return DeploymentResult(
        deployment=record.id,
        release=record.release,
        version=record.version,
        ending=record.ending,
        reason=reason,
        rollback_s=record.rolled_back["elapsed_s"] if record.rolled_back else None,
        serving=record.previous,
    )


def _nothing(environment: str) -> GonogoError:
    return GonogoError(
        "rollback.nothing",
        f"nothing to roll back in {environment}: no deployment of this record serves there",
        hint="gonogo status",
        exit_code=1,
    )
