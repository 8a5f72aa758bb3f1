"""A model of a service with generations: a real state machine with traffic, kept in a file.

It stands where erlmcp stands in production. Being a file, it outlives a deploying process that is killed,
and its log of acts shows what really happened to the world, and how often.
"""

from __future__ import annotations

import asyncio
import json
import math
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

from gonogo.adapters.mcp_calls import CallAnswer
from gonogo.config.schema import Environment, Guest, Manifest, Thresholds
from gonogo.deploy.platform import Generation, Serving
from gonogo.model.errors import GonogoError
from gonogo.model.release import Fingerprint, Release
from gonogo.model.verdict import GateResult, Verdict
from gonogo.model.watch import Sample

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, math.inf)
SHARES = ((0.5, 0.6), (1.0, 0.3), (2.0, 0.085), (4.0, 0.015))


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self, now: datetime = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Behaviour:
    """How a version behaves once it serves."""

    error_ratio: float = 0.0
    onset_s: float = 0.0
    tool_error_ratio: float = 0.0
    latency_s: float = 0.004
    memory_bytes: int = 80_000_000
    healthy: bool = True
    starts: bool = True
    smoke_works: bool = True
    restarts: int = 0
    stays_busy: bool = False


@dataclass
class World:
    """Platform, reader and calls in one, over the file ``path``."""

    path: Path
    clock: FakeClock
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    rate_per_s: float = 20.0
    reachable: bool = True
    answers_public: bool = True

    @classmethod
    def create(cls, path: Path, clock: FakeClock, **options) -> World:
        world = cls(path, clock, **options)
        if not path.exists():
            first = {"version": "1.0.0", "state": "active", "served_s": 5000.0, "since": clock().isoformat()}
            world._write({"generations": {"g1": first}, "acts": [], "pings": 0})
        return world

    # what a deployment asks of a platform

    async def serving(self) -> Serving:
        self._reach()
        found = self._active()
        return Serving(found, self._read()["generations"][found]["version"], "c0ffee")

    async def generations(self) -> tuple[Generation, ...]:
        self._reach()
        return tuple(self._generation(name) for name in self._read()["generations"])

    async def stage(self, generation: str, manifest: Manifest) -> None:
        self._reach()
        world = self._read()
        if generation in world["generations"]:
            return
        starts = self._behaviour(manifest.version).starts
        world["generations"][generation] = {
            "version": manifest.version,
            "state": "staged" if starts else "failed",
            "served_s": 0.0,
            "since": None,
        }
        self._act(world, f"stage {generation}")
        if not starts:
            raise GonogoError("control.refused", f"{generation} did not start", exit_code=1)

    async def activate(self, generation: str) -> None:
        self._reach()
        world = self._read()
        now = self.clock()
        for name, body in world["generations"].items():
            if body["state"] == "active" and name != generation:
                since = datetime.fromisoformat(body["since"])
                body.update(
                    state="draining" if self._behaviour(body["version"]).stays_busy else "warm",
                    served_s=body["served_s"] + (now - since).total_seconds(),
                    since=None,
                )
        body = world["generations"][generation]
        if body["state"] in {"gone", "failed"}:
            raise GonogoError("control.refused", f"{generation} is {body['state']}", exit_code=1)
        if body["state"] != "active":
            body.update(state="active", since=now.isoformat())
        self._act(world, f"activate {generation}")

    async def drain(self, generation: str) -> None:
        self._reach()

    async def retire(self, generation: str) -> None:
        self._reach()
        world = self._read()
        if world["generations"][generation]["state"] == "active":
            raise GonogoError("control.refused", "generations.active", exit_code=1)
        world["generations"][generation]["state"] = "gone"
        self._act(world, f"retire {generation}")

    # what it asks of calls

    async def smoke(self, endpoint: str) -> tuple[CallAnswer, ...]:
        answer = await self.journey(endpoint)
        return (answer, replace(answer, era="handshake"))

    async def journey(self, endpoint: str) -> CallAnswer:
        self._reach()
        if endpoint.startswith("http://private/"):
            version = self._read()["generations"][endpoint.split("/")[3]]["version"]
            if not self._behaviour(version).smoke_works:
                raise GonogoError("smoke.tool-failed", "the tool answered with an error", exit_code=1)
        else:
            version = self._read()["generations"][self._active()]["version"]
            if not self.answers_public:
                raise GonogoError("http.unreachable", "refused")
        return CallAnswer("modern", "notes", version, 6, "list_tags")

    async def ping(self, endpoint: str) -> None:
        world = self._read()
        world["pings"] += 1
        self._write(world)
        if not self.answers_public:
            raise GonogoError("http.unreachable", "refused")

    # what it asks of a reader

    async def sample(self, generation: str) -> Sample:
        self._reach()
        world = self._read()
        body = world["generations"][generation]
        behaviour = self._behaviour(body["version"])
        served_s = body["served_s"]
        if body["since"]:
            served_s += (self.clock() - datetime.fromisoformat(body["since"])).total_seconds()
        requests = int(self.rate_per_s * served_s) + (world["pings"] if body["since"] else 0)
        late = max(requests - int(self.rate_per_s * behaviour.onset_s), 0)
        return Sample(
            at=self.clock(),
            requests=requests,
            errors=int(late * behaviour.error_ratio),
            latency_buckets=_buckets(requests, behaviour.latency_s),
            in_flight=1 if behaviour.stays_busy else 0,
            connections=10,
            memory_bytes=behaviour.memory_bytes,
            cpu_s=served_s * 0.1,
            healthy=behaviour.healthy,
            tool_errors=int(late * behaviour.tool_error_ratio),
            restarts=behaviour.restarts if served_s > 30 else 0,
        )

    # what a test asks

    @property
    def acts(self) -> list[str]:
        return self._read()["acts"]

    @property
    def pings(self) -> int:
        return self._read()["pings"]

    def states(self) -> dict[str, str]:
        return {name: body["state"] for name, body in self._read()["generations"].items()}

    def set_state(self, generation: str, state: str) -> None:
        world = self._read()
        world["generations"][generation]["state"] = state
        self._write(world)

    def _reach(self) -> None:
        if not self.reachable:
            raise GonogoError("control.unreachable", "no answer", exit_code=1)

    def _active(self) -> str:
        return next(n for n, body in self._read()["generations"].items() if body["state"] == "active")

    def _generation(self, name: str) -> Generation:
        body = self._read()["generations"][name]
        behaviour = self._behaviour(body["version"])
        busy = behaviour.stays_busy and body["state"] in {"active", "draining"}
        return Generation(
            id=name,
            version=body["version"],
            state=body["state"],
            workers=() if body["state"] in {"gone", "failed"} else (4711,),
            private_url=f"http://private/{name}",
            config_hash="c0ffee",
            in_flight=int(busy),
            connections=0,
            streams=0,
            restarts=0,
        )

    def _behaviour(self, version: str) -> Behaviour:
        return self.behaviours.get(version, Behaviour())

    def _act(self, world: dict, act: str) -> None:
        world["acts"].append(act)
        self._write(world)

    def _read(self) -> dict:
        return json.loads(self.path.read_text())

    def _write(self, world: dict) -> None:
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(world))
        draft.replace(self.path)


def _buckets(requests: int, latency_s: float) -> tuple[tuple[float, int], ...]:
    """Requests spread over four latencies around ``latency_s``, in fixed shares."""
    counts = [0] * len(BOUNDS)
    for factor, share in SHARES:
        counts[bisect_left(BOUNDS, factor * latency_s)] += int(requests * share + 1e-6)
    return tuple(zip(BOUNDS, accumulate(counts), strict=True))


def release_of(version: str) -> Release:
    fingerprint = Fingerprint("c" * 40, version, "config", "plan")
    return Release(f"rel-notes-{version}", "notes", version, "production", fingerprint)


def manifest_of(version: str) -> Manifest:
    return Manifest(version=version, guest=Guest(target="notes.server:server"))


def gate_of(release: Release, verdict: Verdict = Verdict.GO) -> GateResult:
    return GateResult(verdict, "full", release.fingerprint.digest, (), (), (), (), ())


def environment_of(**thresholds) -> Environment:
    limits = {"watch_s": 300.0, "baseline_s": 60.0, "watch_extensions": 1} | thresholds
    return Environment(
        base_url="http://public",
        admin_url="http://admin",
        control="control.sock",
        thresholds=Thresholds(**limits),
    )
