"""Runs one deployment in a process of its own that kills itself at a chosen moment.

It is not a test and adds no hook to the product: the moments are reached by wrapping the journal that is
handed in. ``before X`` dies instead of writing entry X, ``after X`` dies right after it is on the disk.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "gonogo" / "tests" / "deploy"))

from model_world import (
    Behaviour,
    FakeClock,
    World,
    environment_of,
    gate_of,
    manifest_of,
    release_of,
)

from gonogo.adapters.announce import FileChannel
from gonogo.deploy.deployment import deploy
from gonogo.deploy.services import DeployServices
from gonogo.journal.journal import Journal
from gonogo.model.entry import EntryKind

BEHAVIOURS = {"1.2.0": Behaviour(error_ratio=0.5)}


class FatalJournal:
    """A journal whose process dies at one entry."""

    def __init__(self, journal: Journal, moment: str, kind: str, step: str) -> None:
        self._journal = journal
        self._moment = moment
        self._kind = kind
        self._step = step

    def __getattr__(self, name: str):
        return getattr(self._journal, name)

    def append(self, kind: EntryKind, body, *, actor: str, release: str):
        fatal = kind == self._kind and (not self._step or body.get("step") == self._step)
        if fatal and self._moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        entry = self._journal.append(kind, body, actor=actor, release=release)
        if fatal and self._moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return entry


def run(
    folder: Path, version: str, *, resume: bool, moment: str = "", kind: str = "", step: str = ""
) -> None:
    """Deploy ``version`` in the world of ``folder``; what came out is written to result.json."""
    clock = FakeClock()
    world = World.create(folder / "world.json", clock, behaviours=BEHAVIOURS)
    journal = Journal.open(folder / "state", clock=clock, service="notes")
    clock.now = max(clock.now, journal.head().at)  # time goes on while nobody deploys
    release = release_of(version)
    services = DeployServices(
        service="notes",
        environment_name="production",
        environment=environment_of(watch_s=45.0, step_s=5.0, baseline_s=12.0, watch_extensions=3),
        state=folder / "state",
        journal=FatalJournal(journal, moment, kind, step),
        platform=world,
        calls=world,
        reader=world,
        channel=FileChannel(folder / "announcements.jsonl"),
        gate=lambda: gate_of(release),
        clock=clock,
        sleep=clock.sleep,
    )
    result = deploy(
        services, release, manifest_of(version), actor="ada", resume=resume, progress=lambda _: None
    )
    (folder / "result.json").write_text(json.dumps([result.ending, result.deployment, result.reason]))
