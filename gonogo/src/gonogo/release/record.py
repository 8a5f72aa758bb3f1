"""The record of one release: a fold of the journal's entries to what holds now.

``fold`` is pure: the same entries give the same record, on any machine. ``read_record`` is the thin reader.
The record keeps; it does not judge: freshness, signatures and the verdict are ``gonogo.release.decide``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from gonogo.journal.journal import Journal
from gonogo.model.codec import from_json
from gonogo.model.entry import Entry, EntryKind
from gonogo.model.evidence import Evidence
from gonogo.model.finding import Finding
from gonogo.model.people import Attestation, SignOff, Waiver

WAITING = "waiting"
"""The outcome of a deployment that stopped to let a person decide."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The last attempt at one step of a deployment.

    Attributes:
        state: ``started``, ``finished`` or ``failed``.
        attempt: 1 for the first.
        facts: the body of the entry that ended it (or began it, while it runs).
    """

    step: str
    state: str
    attempt: int
    started_at: datetime
    ended_at: datetime | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """One deployment as the entries tell it.

    Attributes:
        id: its id.
        steps: in the order in which they were first started.
        outcome: what ``DEPLOYMENT_FINISHED`` says, or None while it is not finished.
        rollback: body of ``ROLLBACK_STARTED``, and then of ``ROLLBACK_FINISHED``, if it was rolled back.
        facts: the body of ``DEPLOYMENT_STARTED``.
    """

    id: str
    actor: str
    started_at: datetime
    facts: Mapping[str, Any]
    steps: tuple[StepRecord, ...] = ()
    outcome: str | None = None
    finished_at: datetime | None = None
    rollback: Mapping[str, Any] | None = None
    rolled_back_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """True while it has not ended, or waits for a person."""
        return self.outcome in (None, WAITING)


@dataclass(frozen=True, slots=True)
class Record:
    """What holds now for one release.

    Attributes:
        all_findings: the newest finding of each check for each fingerprint.
        evidence: by evidence id.
        baseline: the entry of the newest baseline; ``gonogo.watch.baseline`` knows its body.
        gate: the entry of the newest recorded verdict.
        last_seq: the newest entry that was folded.
    """

    release: str
    all_findings: Mapping[tuple[str, str], Finding] = field(default_factory=dict)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    attestations: tuple[Attestation, ...] = ()
    sign_offs: tuple[SignOff, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    deployments: tuple[DeploymentRecord, ...] = ()
    baseline: Entry | None = None
    gate: Entry | None = None
    decisions: tuple[Entry, ...] = ()
    announcements: tuple[Entry, ...] = ()
    last_seq: int = 0

    @property
    def findings(self) -> Mapping[str, Finding]:
        """The newest finding of each check, whatever its fingerprint."""
        newest: dict[str, Finding] = {}
        for finding in self.all_findings.values():
            other = newest.get(finding.check_id)
            if other is None or finding.measured_at >= other.measured_at:
                newest[finding.check_id] = finding
        return MappingProxyType(newest)

    def findings_for(self, fingerprint: str) -> Mapping[str, Finding]:
        """The newest finding of each check for one fingerprint."""
        return {
            check_id: finding
            for (check_id, made_for), finding in self.all_findings.items()
            if made_for == fingerprint
        }


def fold(entries: Iterable[Entry], release: str) -> Record:
    """The record of one release from entries in their order; entries of other releases are passed over."""
    folding = _Folding()
    last_seq = 0
    for entry in entries:
        if entry.release == release:
            folding.take(entry)
            last_seq = entry.seq
    return Record(
        release=release,
        all_findings=MappingProxyType(folding.findings),
        evidence=MappingProxyType(folding.evidence),
        attestations=tuple(folding.attestations),
        sign_offs=tuple(folding.sign_offs),
        waivers=tuple(folding.waivers),
        deployments=tuple(folding.deployments.values()),
        baseline=folding.newest.get(EntryKind.BASELINE),
        gate=folding.newest.get(EntryKind.GATE),
        decisions=tuple(folding.decisions),
        announcements=tuple(folding.announcements),
        last_seq=last_seq,
    )


def read_record(journal: Journal, release: str) -> Record:
    """The record of one release as the journal has it now.

    Raises:
        GonogoError: ``journal.altered`` if an entry on the way is not what was written.
    """
    return fold(journal.entries(release=release), release)


class _Folding:
    """The state of one fold; each kind of entry changes one part of it."""

    def __init__(self) -> None:
        self.findings: dict[tuple[str, str], Finding] = {}
        self.evidence: dict[str, Evidence] = {}
        self.attestations: list[Attestation] = []
        self.sign_offs: list[SignOff] = []
        self.waivers: list[Waiver] = []
        self.deployments: dict[str, DeploymentRecord] = {}
        self.newest: dict[EntryKind, Entry] = {}
        self.decisions: list[Entry] = []
        self.announcements: list[Entry] = []

    def take(self, entry: Entry) -> None:
        match entry.kind:
            case EntryKind.FINDING:
                finding = from_json(Finding, entry.body)
                self.findings[finding.check_id, finding.fingerprint] = finding
            case EntryKind.EVIDENCE:
                evidence = from_json(Evidence, entry.body)
                self.evidence[evidence.id] = evidence
            case EntryKind.ATTESTATION:
                self.attestations.append(from_json(Attestation, entry.body))
            case EntryKind.SIGN_OFF:
                self.sign_offs.append(from_json(SignOff, entry.body))
            case EntryKind.WAIVER:
                self.waivers.append(from_json(Waiver, entry.body))
            case EntryKind.BASELINE | EntryKind.GATE:
                self.newest[entry.kind] = entry
            case EntryKind.DECISION:
                self.decisions.append(entry)
            case EntryKind.ANNOUNCEMENT:
                self.announcements.append(entry)
            case _:
                self._take_deployment(entry)

    def _take_deployment(self, entry: Entry) -> None:
        name = entry.body.get("deployment")
        if entry.kind is EntryKind.DEPLOYMENT_STARTED and isinstance(name, str):
            self.deployments.setdefault(name, DeploymentRecord(name, entry.actor, entry.at, entry.body))
        known = self.deployments.get(name) if isinstance(name, str) else None
        if known is not None:
            self.deployments[known.id] = _advanced(known, entry)


def _advanced(known: DeploymentRecord, entry: Entry) -> DeploymentRecord:
    match entry.kind:
        case EntryKind.STEP_STARTED | EntryKind.STEP_FINISHED | EntryKind.STEP_FAILED:
            return replace(known, steps=_steps_with(known.steps, entry))
        case EntryKind.ROLLBACK_STARTED:
            return replace(known, rollback=entry.body)
        case EntryKind.ROLLBACK_FINISHED:
            return replace(known, rollback={**(known.rollback or {}), **entry.body}, rolled_back_at=entry.at)
        case EntryKind.DEPLOYMENT_FINISHED:
            return replace(known, outcome=str(entry.body.get("outcome", "")), finished_at=entry.at)
        case _:
            return known


def _steps_with(steps: tuple[StepRecord, ...], entry: Entry) -> tuple[StepRecord, ...]:
    step = str(entry.body.get("step", ""))
    before = next((known for known in steps if known.step == step), None)
    if entry.kind is EntryKind.STEP_STARTED:
        attempt = int(entry.body.get("attempt", 1 if before is None else before.attempt + 1))
        now = StepRecord(step, "started", attempt, entry.at, None, entry.body)
    else:
        state = "finished" if entry.kind is EntryKind.STEP_FINISHED else "failed"
        began_at = entry.at if before is None else before.started_at
        attempt = 1 if before is None else before.attempt
        now = StepRecord(step, state, attempt, began_at, entry.at, entry.body)
    if before is None:
        return (*steps, now)
    return tuple(now if known.step == step else known for known in steps)
