"""``verify``: prove that the record is what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gonogo.journal.evidence import EvidenceStore
from gonogo.journal.journal import Journal
from gonogo.journal.verification import Fault
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and every fault found; no fault means that none was found."""

    folder: Path
    faults: list[Fault]
    facts: dict[str, str | int]


def verify(journal: Journal, evidence: EvidenceStore) -> Verified:
    """Verify the chain, the head file and every piece of evidence that the chain names."""
    faults = journal.verify()
    digests: list[str] = []
    try:
        entries = list(journal.entries(kinds=frozenset({EntryKind.EVIDENCE})))
        digests = [str(entry.body["digest"]) for entry in entries]
        head = journal.head()
    except GonogoError as error:
        faults = faults or [Fault(0, "entries cannot be read", "entries as written", error.message)]
        return Verified(journal.folder, faults + evidence.verify_all(), {})
    faults += evidence.verify_all(iter(digests))
    facts: dict[str, str | int] = {"entries": head.seq, "evidence": len(set(digests)), "head": head.hash}
    return Verified(journal.folder, faults, facts)
