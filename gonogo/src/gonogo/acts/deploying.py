"""``deploy``, ``rollback`` and ``decide``: wires what a deployment needs and calls ``gonogo.deploy``."""

from __future__ import annotations

import asyncio

from gonogo.acts.desk import Desk
from gonogo.acts.judging import judged_and_recorded
from gonogo.acts.production import admin_of
from gonogo.adapters.announce import FileChannel
from gonogo.adapters.erlmcp_control import ErlmcpControl
from gonogo.adapters.erlmcp_metrics import ErlmcpMetrics
from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp_calls import McpCalls
from gonogo.deploy.deployment import DeploymentResult
from gonogo.deploy.deployment import deploy as run_deployment
from gonogo.deploy.ledger import DeploymentRecord, last_deployment
from gonogo.deploy.platforms.erlmcp import ErlmcpPlatform
from gonogo.deploy.progress import Progress
from gonogo.deploy.rollback import roll_back
from gonogo.deploy.services import DeployServices
from gonogo.model.errors import GonogoError
from gonogo.model.people import Role
from gonogo.model.verdict import GateResult
from gonogo.watch.decision import Choice
from gonogo.watch.decision import decide as record_decision

ANNOUNCEMENTS = "announcements.jsonl"


def deploy(desk: Desk, version: str, *, actor: str, resume: bool, progress: Progress) -> DeploymentResult:
    """Ship ``version``, or finish what was begun.

    Raises:
        GonogoError: release.unknown-version, deploy.no-control, or those of ``gonogo.deploy.deployment``.
    """
    release, manifest = desk.candidate(version)
    services = services_for(desk, version)
    return run_deployment(services, release, manifest, actor=actor, resume=resume, progress=progress)


def rollback(desk: Desk, *, reason: str, actor: str, progress: Progress) -> DeploymentResult:
    """Make the version before the last deployment serve again.

    Raises:
        GonogoError: rollback.nothing and the others of ``gonogo.deploy.rollback``.
    """
    last = last_deployment(desk.journal, desk.environment_name)
    services = services_for(desk, last.version if last else None)
    return roll_back(services, desk.environment_name, reason=reason, actor=actor, progress=progress)


def decide(desk: Desk, *, choice: Choice, person: str, reason: str) -> DeploymentRecord:
    """Record a person's decision on the deployment that waits for one.

    Raises:
        GonogoError: people.unknown-person, deploy.nothing-to-decide.
    """
    desk.roster.get(person)
    last = last_deployment(desk.journal, desk.environment_name)
    if last is None or not last.is_open:
        raise GonogoError(
            "deploy.nothing-to-decide",
            f"no deployment to {desk.environment_name} runs or waits for a decision",
            hint="gonogo status",
            exit_code=1,
        )
    record_decision(
        desk.journal, release=last.release, deployment=last.id, choice=choice, person=person, reason=reason
    )
    return last


def services_for(desk: Desk, version: str | None) -> DeployServices:
    """Everything a deployment to this desk's environment uses.

    Raises:
        GonogoError: deploy.no-control if the environment declares no control socket.
    """
    environment = desk.environment
    if not environment.control:
        raise GonogoError(
            "deploy.no-control",
            f"environments.{desk.environment_name}.control is empty; expected the path of the control socket",
            hint=f"start erlmcp with --control PATH and declare it in [environments.{desk.environment_name}]",
        )
    http = HttpReader()
    control = ErlmcpControl(str(desk.loaded.repo / environment.control))
    admin = admin_of(desk, http)

    def gate() -> GateResult:
        release, _ = desk.candidate(version)
        return judged_and_recorded(desk, release)

    return DeployServices(
        service=desk.settings.service.name,
        environment_name=desk.environment_name,
        environment=environment,
        state=desk.loaded.state,
        journal=desk.journal,
        platform=ErlmcpPlatform(control, admin, desk.loaded.repo),
        calls=McpCalls(http),
        reader=ErlmcpMetrics(admin, desk.clock),
        channel=FileChannel(desk.loaded.state / ANNOUNCEMENTS),
        gate=gate,
        clock=desk.clock,
        sleep=asyncio.sleep,
        contact=_contact(desk),
        closing=(control.close, http.close),
    )


def _contact(desk: Desk) -> str:
    """Whom to call: the primary operator, if the roster has one."""
    primary = next(iter(desk.roster.with_role(Role.PRIMARY)), None)
    return f"{primary.name} {primary.phone}" if primary else ""
