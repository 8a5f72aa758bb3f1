"""What checks are tried on: a service behind a proxy that breaks one thing, repositories, a run."""

import asyncio
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from gonogo.adapters.erlmcp_control import ErlmcpControl
from gonogo.adapters.scratch import CANDIDATE, Scratch
from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checks.context import open_context
from gonogo.checks.registry import load_checks
from gonogo.checks.runner import run_checks
from gonogo.config.schema import Manifest, Settings
from gonogo.journal.evidence import EvidenceStore
from gonogo.journal.journal import Journal
from gonogo.model.release import Fingerprint, Release

ROOT = Path(__file__).resolve().parents[3]
NOTES = ROOT / "examples" / "notes"
ERLMCP = Path(sys.executable).with_name("erlmcp")
START_TIMEOUT_S = 40.0
JOURNEYS = {
    "pure_tool": {
        "tool": "word_count",
        "arguments": {"text": "one two three"},
        "expect": '"words": 3',
    },
    "slow_tool": {"tool": "reindex"},
    "invalid_tool": {"tool": "word_count", "arguments": {"text": 7}},
    "create": {"tool": "create_note", "arguments": {"title": "{name}", "body": "made by {name}"}},
    "change": {"tool": "append_to_note", "arguments": {"note_id": "{result.id}", "text": "more"}},
    "remove": {"tool": "delete_note", "arguments": {"note_id": "{result.id}"}},
    "resource": "note://{result.id}",
    "resource_holds": "made by {name}",
    "listed_in": "notes://index",
}


def utc_now():
    return datetime.now(UTC)  # noqa: TID251 - real services are read, so real time passes


@dataclasses.dataclass
class Stack:
    """A running erlmcp: ``g1`` is notes 1.0.0 and serves, ``candidate`` is notes 1.1.0 and is staged."""

    base_url: str
    admin_url: str
    control: str
    candidate_url: str
    pid: int
    spec: dict


def until_ready(url, process, log):
    deadline = time.monotonic() + START_TIMEOUT_S
    poll = httpx2.Client(transport=httpx2.HTTPTransport(retries=0), timeout=1.0)
    with poll:
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            try:
                if poll.get(url).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            process_waits(0.05)
    raise AssertionError(f"not ready: {log.read_text()}")


def process_waits(seconds):
    """Give another process time inside a bounded poll."""
    asyncio.run(asyncio.sleep(seconds))


class Tamper:
    """What a proxy changes; subclasses break one thing."""

    def request(self, method, path, headers, body):
        return method, path, headers, body

    def answer(self, method, path, status, headers, body):
        return status, headers, body

    def chunk(self, data):
        return data


@asynccontextmanager
async def proxied(target, tamper):
    """The address of a proxy before ``target`` that changes what ``tamper`` says."""
    client = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(retries=0), timeout=20.0)

    async def serve(reader, writer):
        try:
            await _forward(reader, writer, client, target, tamper)
        except (ConnectionError, asyncio.IncompleteReadError, httpx2.TransportError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024 * 1024)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await client.aclose()


async def _forward(reader, writer, client, target, tamper):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, headers, body = tamper.request(method, path, headers, body)
    kept = {k: v for k, v in headers.items() if k not in {"host", "content-length", "connection"}}
    async with client.stream(method, target + path, headers=kept, content=body or None) as response:
        names = ("content-type", "mcp-session-id", "retry-after", "date", "x-request-id")
        out = {n: response.headers[n] for n in names if n in response.headers}
        if out.get("content-type", "").startswith("text/event-stream"):
            _write_head(writer, response.status_code, out)
            async for data in response.aiter_bytes():
                writer.write(tamper.chunk(data))
                await writer.drain()
            return
        status, out, data = tamper.answer(method, path, response.status_code, out, await response.aread())
        _write_head(writer, status, {**out, "content-length": str(len(data))})
        writer.write(data)
        await writer.drain()


def _write_head(writer, status, headers):
    lines = [f"HTTP/1.1 {status} Status", *(f"{k}: {v}" for k, v in headers.items()), "connection: close"]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


class StagedProvider:
    """Gives checks an already running service as their scratch copy."""

    declared = True

    def __init__(self, stack, *, base_url=None, candidate_url=None, admin_url=None):
        self._stack = stack
        self._scratch = Scratch(
            base_url=base_url or stack.base_url,
            candidate_url=candidate_url or stack.candidate_url,
            admin_url=admin_url or stack.admin_url,
            serving_generation="g1",
            pid=stack.pid,
            control=ErlmcpControl(stack.control),
            mcp_path="/mcp",
        )

    async def get(self):
        return self._scratch

    async def close(self):
        """A check that moved traffic left the candidate drained, or active: the next test finds it staged."""
        control = self._scratch.control
        try:
            if await self._state() != "staged":
                await control.activate("g1")
                await control.retire(CANDIDATE)
                await control.stage(CANDIDATE, self._stack.spec)
                self._stack.candidate_url = (await self._candidate())["private_url"]
        finally:
            await control.close()

    async def _state(self):
        return (await self._candidate())["state"]

    async def _candidate(self):
        return next(one for one in await self._scratch.control.generations() if one["id"] == CANDIDATE)


def settings_for(*, base_url="http://127.0.0.1:1", admin_url="http://127.0.0.1:1", **changes):
    """Settings with one environment and notes' journeys."""
    return Settings.model_validate(
        {
            "service": {"name": "notes"},
            "environments": {"production": {"base_url": base_url, "admin_url": admin_url}},
            "commands": {"scratch": ["false"]},
            "journeys": JOURNEYS,
            **changes,
        }
    )


def manifest_for(version="1.1.0", **guest):
    """A manifest of notes."""
    target = {"target": "notes.server:server", "cwd": "src", "env": {"NOTES_RELEASE": version}}
    return Manifest.model_validate({"version": version, "guest": target | guest})


def git(repo, *arguments):
    """Run git with an identity of its own."""
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", *who, *arguments], cwd=repo, check=True, capture_output=True)


def committed(repo, files):
    """Make ``repo`` a git repository with ``files`` committed."""
    repo.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    if not (repo / ".git").exists():
        git(repo, "init", "-q")
    git(repo, "add", "--all")
    git(repo, "commit", "-q", "-m", "state", "--allow-empty")
    return repo


@dataclasses.dataclass
class World:
    """What ``ask`` looks at; change a field to break or to move something."""

    repo: Path
    settings: Settings
    manifest: Manifest = dataclasses.field(default_factory=manifest_for)
    previous: Manifest | None = dataclasses.field(default_factory=lambda: manifest_for("1.0.0"))
    scratch: Callable | None = None
    baseline: Callable | None = None
    deadline_s: float | None = None


async def asking(world, state, *ids, only=True):
    """As the fixture ``ask``, for tests that hold proxies open."""
    release = Release(
        "rel-notes", "notes", world.manifest.version, "production", Fingerprint("a", "b", "c", "d")
    )
    checks = load_checks()
    if world.deadline_s is not None:
        checks = {k: dataclasses.replace(c, deadline_s=world.deadline_s) for k, c in checks.items()}
    with Journal.open(state, clock=utc_now, service="notes") as journal:
        async with open_context(
            repo=world.repo,
            settings=world.settings,
            environment_name="production",
            release=release,
            manifest=world.manifest,
            previous_manifest=world.previous,
            clock=utc_now,
            baseline=world.baseline,
        ) as opened:
            scratch = world.scratch() if world.scratch else opened.scratch
            ctx = dataclasses.replace(opened, scratch=scratch)
            try:
                found = await run_checks(
                    checks,
                    ctx,
                    journal=journal,
                    evidence=EvidenceStore(state),
                    requirements=CATALOGUE.all,
                    only=ids if only else None,
                )
            finally:
                await ctx.scratch.close()
        assert journal.verify() == []
    return {finding.check_id: finding for finding in found}


class Page(Tamper):
    """Changes the JSON of one admin page."""

    def __init__(self, path, change, status=None):
        self.path, self.change, self.status = path, change, status

    def answer(self, method, path, status, headers, body):
        if path != self.path:
            return status, headers, body
        return self.status or status, headers, json.dumps(self.change(json.loads(body))).encode()
