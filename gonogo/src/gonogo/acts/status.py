"""``status``: what serves, what runs, what waits, what went stale. Looks and writes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gonogo.acts.desk import Desk
from gonogo.acts.judging import judged
from gonogo.acts.production import health
from gonogo.checklist.profile import gate_profile
from gonogo.deploy.ledger import DeploymentRecord, last_deployment
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.people import Waiver
from gonogo.model.release import Release
from gonogo.model.verdict import GateResult
from gonogo.release.record import Record, read_record
from gonogo.release.serving import Serving, read_serving


@dataclass(frozen=True, slots=True)
class Status:
    """One environment now.

    Attributes:
        serving, generation: what production itself reports; empty if it does not answer.
        no_answer: why production did not answer, or empty.
        recorded: what the record says serves.
        holder: who runs the deployment that is not finished, or empty if nobody does.
        waivers: those that hold now.
        stale: ids of gated requirements whose finding is too old or for another fingerprint.
        problem: why the candidate cannot be told, or empty.
    """

    environment: str
    at: datetime
    serving: str
    generation: str
    no_answer: str
    recorded: Serving | None
    deployment: DeploymentRecord | None
    holder: str
    release: Release | None
    gate: GateResult | None
    waivers: tuple[Waiver, ...]
    stale: tuple[str, ...]
    problem: str


def status(desk: Desk, version: str | None = None) -> Status:
    """Look at the service and the record."""
    answer = asyncio.run(health(desk))
    answered: Mapping[str, object] = {} if isinstance(answer, str) else answer
    now = desk.clock()
    release, gate, problem = _candidate(desk, version, version or last_judged(desk))
    record = read_record(desk.journal, release.id) if release else Record("")
    return Status(
        environment=desk.environment_name,
        at=now,
        serving=str(answered.get("version", "")),
        generation=str(answered.get("generation", "")),
        no_answer=answer if isinstance(answer, str) else "",
        recorded=read_serving(desk.journal, desk.environment_name),
        deployment=last_deployment(desk.journal, desk.environment_name),
        holder=_holder(desk.loaded.state, desk.environment_name),
        release=release,
        gate=gate,
        waivers=tuple(waiver for waiver in record.waivers if waiver.starts_at <= now < waiver.ends_at),
        stale=_stale(desk, record, release, now) if release else (),
        problem=problem,
    )


def last_judged(desk: Desk) -> str | None:
    """The version on which a verdict for this environment was recorded last, if it still has a manifest."""
    last = None
    for entry in desk.journal.entries(kinds=frozenset({EntryKind.GATE})):
        if entry.body["environment"] == desk.environment_name:
            last = entry.body["version"]
    return last if last in desk.versions else None


def _candidate(
    desk: Desk, asked: str | None, version: str | None
) -> tuple[Release | None, GateResult | None, str]:
    try:
        release, _ = desk.candidate(version)
        return release, judged(desk, release), ""
    except GonogoError as error:
        if asked is not None:
            raise
        return None, None, error.message


def _stale(desk: Desk, record: Record, release: Release, now: datetime) -> tuple[str, ...]:
    gated = gate_profile(desk.environment.profile, desk.settings.profiles).checks
    return tuple(
        finding.check_id
        for finding in record.findings.values()
        if finding.check_id in gated
        and finding.built
        and (finding.fingerprint != release.fingerprint.digest or finding.valid_until <= now)
    )


def _holder(state: Path, environment: str) -> str:
    """Who holds the lease, if that process still lives. Never takes the lease to find out."""
    try:
        body = json.loads((state / f"lease-{environment}.json").read_text("utf-8"))
        pid, who = int(body["pid"]), f"{body['user']}@{body['host']}, process {body['pid']}"
        alive = Path(f"/proc/{pid}").exists()
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return who if alive else ""
