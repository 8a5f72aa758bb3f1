"""An entry of the journal, and the kinds there are. Everything that happens is an entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class EntryKind(StrEnum):
    """What an entry records. The body of each kind is described beside its name."""

    OPENED = "journal.opened"  # gonogo version, service, format
    EVIDENCE = "evidence.stored"  # Evidence as JSON
    FINDING = "finding.recorded"  # Finding as JSON
    ATTESTATION = "attestation.given"  # Attestation as JSON
    SIGN_OFF = "sign-off.given"  # SignOff as JSON
    WAIVER = "waiver.granted"  # Waiver as JSON
    GATE = "gate.judged"  # verdict, profile, fingerprint, blocking check ids
    BASELINE = "baseline.recorded"  # samples' digest, figures
    DEPLOYMENT_STARTED = "deployment.started"  # deployment id, release, actor, plan
    STEP_STARTED = "step.started"  # deployment id, step, attempt
    STEP_FINISHED = "step.finished"  # deployment id, step, elapsed_s, observed
    STEP_FAILED = "step.failed"  # deployment id, step, error
    WATCH_SAMPLE = "watch.sampled"  # deployment id, Sample as JSON
    WATCH_JUDGED = "watch.judged"  # deployment id, judgements
    ROLLBACK_STARTED = "rollback.started"  # deployment id, reason, trigger
    ROLLBACK_FINISHED = "rollback.finished"  # deployment id, elapsed_s, observed
    DEPLOYMENT_FINISHED = "deployment.finished"  # deployment id, outcome
    ANNOUNCEMENT = "announcement.sent"  # channel, text, delivery
    DECISION = "decision.taken"  # a person's act on a verdict


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the chain.

    Attributes:
        seq: 1, 2, 3 ... without a gap.
        at: UTC.
        actor: person id or ``gonogo``.
        release: release id, or ``""`` for entries about the journal itself.
        body: JSON object; large things stand in the evidence store by digest.
        prev: hash of the entry before; 64 zeros for the first.
        hash: SHA-256 over the canonical JSON of all the other fields, the body standing in it by its own
            SHA-256, so that a chain can be proven without showing every body.
    """

    seq: int
    kind: EntryKind
    at: datetime
    actor: str
    release: str
    body: Mapping[str, Any]
    prev: str
    hash: str
