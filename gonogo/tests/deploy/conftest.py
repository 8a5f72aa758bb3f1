"""A deployment's surroundings: the model world, a real journal, a clock that only moves in sleeps."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gonogo.adapters.announce import FileChannel
from gonogo.deploy.deployment import DeploymentResult, deploy
from gonogo.deploy.progress import ProgressEvent
from gonogo.deploy.rollback import roll_back
from gonogo.deploy.services import DeployServices
from gonogo.journal.journal import Journal

sys.path.insert(0, str(Path(__file__).parent))

from model_world import (
    Behaviour,
    FakeClock,
    World,
    environment_of,
    gate_of,
    manifest_of,
    release_of,
)


@dataclass
class Stand:
    """Everything a test of a deployment holds in its hands."""

    services: DeployServices
    world: World
    clock: FakeClock
    events: list[ProgressEvent] = field(default_factory=list)

    @property
    def journal(self) -> Journal:
        return self.services.journal

    def deploy(self, version: str, *, resume: bool = False, **changes) -> DeploymentResult:
        release = release_of(version)
        services = replace(self.services, **({"gate": lambda: gate_of(release)} | changes))
        return deploy(
            services,
            release,
            manifest_of(version),
            actor="ada",
            resume=resume,
            progress=self.events.append,
        )

    def roll_back(self, reason: str = "it looks wrong") -> DeploymentResult:
        return roll_back(self.services, "production", reason=reason, actor="ada", progress=self.events.append)

    def with_limits(self, **thresholds) -> Stand:
        services = replace(self.services, environment=environment_of(**thresholds))
        return Stand(services, self.world, self.clock, self.events)

    def texts(self, step: str) -> list[str]:
        return [event.text for event in self.events if event.step == step]

    def announcements(self) -> list[str]:
        return [e.body["id"].split("/")[1] for e in self.journal.entries(kinds={"announcement.sent"})]


@pytest.fixture
def stand(tmp_path):
    clock = FakeClock()
    behaviours = {
        "1.2.0": Behaviour(error_ratio=0.5, onset_s=5),
        "1.3.0": Behaviour(error_ratio=0.04),
    }
    world = World.create(tmp_path / "world.json", clock, behaviours=behaviours)
    with Journal.open(tmp_path / "state", clock=clock, service="notes") as journal:
        yield Stand(
            DeployServices(
                service="notes",
                environment_name="production",
                environment=environment_of(),
                state=tmp_path / "state",
                journal=journal,
                platform=world,
                calls=world,
                reader=world,
                channel=FileChannel(tmp_path / "state" / "announcements.jsonl"),
                gate=lambda: gate_of(release_of("1.1.0")),
                clock=clock,
                sleep=clock.sleep,
                contact="+44 20 7946 0000",
            ),
            world,
            clock,
        )
