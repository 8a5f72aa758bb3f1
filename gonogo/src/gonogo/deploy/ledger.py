"""Deployments as the journal knows them: a fold, so any process can pick one up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from gonogo.journal.journal import Journal
from gonogo.model.entry import Entry, EntryKind
from gonogo.model.errors import GonogoError


class Ending(StrEnum):
    """How a deployment ended, or stands."""

    DONE = "done"
    ROLLED_BACK = "rolled-back"
    ABORTED = "aborted"
    FAILED = "failed"
    WAITING = "waiting"

    @property
    def exit_code(self) -> int:
        """0 done, 3 waiting for a person, 1 anything else."""
        return {Ending.DONE: 0, Ending.WAITING: 3}.get(self, 1)


_KINDS = frozenset(
    {
        EntryKind.DEPLOYMENT_STARTED,
        EntryKind.STEP_STARTED,
        EntryKind.STEP_FINISHED,
        EntryKind.STEP_FAILED,
        EntryKind.ROLLBACK_STARTED,
        EntryKind.ROLLBACK_FINISHED,
        EntryKind.DEPLOYMENT_FINISHED,
    }
)


@dataclass(slots=True)
class DeploymentRecord:
    """One attempt to put a release into an environment.

    Attributes:
        generation: id of the new generation.
        finished: for each finished step, what it observed.
        attempts: for each step, how often it was started.
        rollback: the body of the rollback's start, if there was one.
        rolled_back: the body of the rollback's end, if it got there.
        legs: how often it ended; a waiting one goes on in a new leg.
        failed: an error that ended a step for good, by step.
    """

    id: str
    release: str
    version: str
    environment: str
    generation: str
    fingerprint: str
    actor: str
    started_at: datetime
    finished: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    rollback: Mapping[str, Any] | None = None
    rolled_back: Mapping[str, Any] | None = None
    ending: Ending | None = None
    legs: int = 0

    @property
    def is_open(self) -> bool:
        """True while it has not ended, or waits for a person."""
        return self.ending in {None, Ending.WAITING}

    @property
    def previous(self) -> str:
        """Id of the generation that served before, or empty before the snapshot."""
        return str(self.finished.get("snapshot", {}).get("generation", ""))


def deployments(journal: Journal, environment: str) -> list[DeploymentRecord]:
    """All deployments to ``environment``, oldest first."""
    found: dict[str, DeploymentRecord] = {}
    for entry in journal.entries(kinds=_KINDS):
        deployment = str(entry.body["deployment"])
        if entry.kind is EntryKind.DEPLOYMENT_STARTED:
            if entry.body["environment"] == environment:
                found[deployment] = _started(entry)
        elif deployment in found:
            _fold(found[deployment], entry)
    return list(found.values())


def last_deployment(journal: Journal, environment: str) -> DeploymentRecord | None:
    """The deployment to ``environment`` that was started last, or None."""
    return next(reversed(deployments(journal, environment)), None)


def record_of(journal: Journal, environment: str, deployment: str) -> DeploymentRecord:
    """The deployment with that id.

    Raises:
        GonogoError: deploy.unknown.
    """
    for record in deployments(journal, environment):
        if record.id == deployment:
            return record
    raise GonogoError("deploy.unknown", f"no deployment {deployment} to {environment} in the journal")


def _started(entry: Entry) -> DeploymentRecord:
    return DeploymentRecord(
        id=entry.body["deployment"],
        release=entry.release,
        version=entry.body["version"],
        environment=entry.body["environment"],
        generation=entry.body["generation"],
        fingerprint=entry.body["fingerprint"],
        actor=entry.actor,
        started_at=entry.at,
    )


def _fold(record: DeploymentRecord, entry: Entry) -> None:
    body = entry.body
    match entry.kind:
        case EntryKind.STEP_STARTED:
            record.attempts[body["step"]] = body["attempt"]
        case EntryKind.STEP_FINISHED:
            record.finished[body["step"]] = body["observed"]
        case EntryKind.STEP_FAILED:
            record.failed[body["step"]] = body["error"]
        case EntryKind.ROLLBACK_STARTED:
            record.rollback = body
        case EntryKind.ROLLBACK_FINISHED:
            record.rolled_back = body
        case EntryKind.DEPLOYMENT_FINISHED:
            record.ending = Ending(body["outcome"])
            record.legs += 1
        case _:
            raise AssertionError(f"{entry.kind} is not folded here")
