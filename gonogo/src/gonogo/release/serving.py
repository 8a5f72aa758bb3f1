"""Which version serves an environment, as the entries of all releases tell it.

What the record says; whether it is so is for those who read the world (``deploy`` and ``checks``) to see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gonogo.journal.journal import Journal
from gonogo.model.entry import Entry, EntryKind

DONE = "done"
KINDS = (EntryKind.DEPLOYMENT_STARTED, EntryKind.DEPLOYMENT_FINISHED, EntryKind.ROLLBACK_FINISHED)


@dataclass(frozen=True, slots=True)
class Serving:
    """A version that was observed to serve, since when, and by which deployment."""

    version: str
    since: datetime
    deployment: str


def serving_version(entries: Iterable[Entry], environment: str) -> Serving | None:
    """The version that the last finished deployment or rollback left serving, or None if none has finished.

    Reads ``environment`` and ``version`` of ``DEPLOYMENT_STARTED``, ``outcome`` of ``DEPLOYMENT_FINISHED``
    (``done``), and ``observed.version`` of ``ROLLBACK_FINISHED`` (what was seen to serve again).
    """
    started: dict[str, Entry] = {}
    serving: Serving | None = None
    for entry in entries:
        deployment = str(entry.body.get("deployment", ""))
        if entry.kind is EntryKind.DEPLOYMENT_STARTED:
            started[deployment] = entry
            continue
        begun = started.get(deployment)
        if begun is None or begun.body.get("environment") != environment:
            continue
        if entry.kind is EntryKind.DEPLOYMENT_FINISHED and entry.body.get("outcome") == DONE:
            serving = Serving(str(begun.body.get("version", "")), entry.at, deployment)
        elif entry.kind is EntryKind.ROLLBACK_FINISHED:
            observed = entry.body.get("observed") or {}
            if observed.get("version"):
                serving = Serving(str(observed["version"]), entry.at, deployment)
    return serving


def read_serving(journal: Journal, environment: str) -> Serving | None:
    """As ``serving_version``, from the journal as it is now."""
    return serving_version(journal.entries(kinds=KINDS), environment)
