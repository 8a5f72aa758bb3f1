"""What a check may look at: the repository, the settings, production, a scratch copy, the clock.

A context lives for one run. ``open_context`` wires it and closes what was opened. It holds no journal:
checks read the world, and only ``checks.runner`` writes the record.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from gonogo.adapters.command import CommandRunner
from gonogo.adapters.erlmcp_admin import AdminReader
from gonogo.adapters.git import Git
from gonogo.adapters.http import HttpReader
from gonogo.adapters.scratch import ScratchPlan, ScratchProvider
from gonogo.checks.shared import Shared
from gonogo.config.schema import Environment, Manifest, Settings
from gonogo.model.clock import Clock
from gonogo.model.release import Release

Made = TypeVar("Made")


class SeriesFacts(Protocol):
    """The figures of a baseline that checks judge."""

    @property
    def requests(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def latency(self) -> dict[str, tuple[float, ...]]: ...
    @property
    def memory(self) -> tuple[float, ...]: ...


class BaselineFacts(Protocol):
    """A recorded baseline, as ``gonogo.watch.baseline`` keeps it."""

    @property
    def generation(self) -> str: ...
    @property
    def began_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime: ...
    @property
    def span_s(self) -> float: ...
    @property
    def series(self) -> SeriesFacts: ...


BaselineSource = Callable[[], Awaitable[BaselineFacts]]
"""The release's recorded baseline; if there is none, a short one is collected and recorded first."""


@dataclass(frozen=True, slots=True)
class ServiceReader:
    """The service as it runs in the environment.

    Attributes:
        base_url: where clients reach it, without a slash at the end.
        mcp_url: its MCP endpoint.
        http: a reader for requests of one's own.
    """

    base_url: str
    mcp_url: str
    admin: AdminReader
    http: HttpReader


@dataclass(frozen=True)
class CheckContext:
    """One run's view of the world.

    Attributes:
        release: whose fingerprint every finding of this run is bound to.
        manifest: the candidate's manifest.
        previous_manifest: that of the version that serves now, if it is known.
        production: the environment's service; checks only read it, or send what clients send.
        scratch: a copy of the service for everything that changes or disturbs.
        baseline: None if nothing can collect one.
    """

    repo: Path
    settings: Settings
    environment: Environment
    environment_name: str
    release: Release
    manifest: Manifest
    previous_manifest: Manifest | None
    clock: Clock
    git: Git
    commands: CommandRunner
    production: ServiceReader
    scratch: ScratchProvider
    baseline: BaselineSource | None = None
    shared: Shared = field(default_factory=Shared)

    async def once(self, make: Callable[[CheckContext], Awaitable[Made]]) -> Made:
        """What ``make`` brings, made once in this run and shared by all checks."""
        return await self.shared.once(make, self)

    def missing(self, need: str) -> tuple[str, str] | None:
        """Why a capability is not there, and the sentence that mends it; None if it is there."""
        for name, is_there, why, hint in self._capabilities():
            if name == need:
                return None if is_there else (why, hint)
        return f"nothing provides {need!r}", "this is a fault of the check: report it"

    def _capabilities(self) -> tuple[tuple[str, bool, str, str], ...]:
        commands, environment = self.settings.commands, self.environment
        section = f"environments.{self.environment_name}"
        return (
            (
                "git",
                any((folder / ".git").exists() for folder in (self.repo, *self.repo.parents)),
                f"{self.repo} is not in a git repository",
                "run gonogo in the repository of the service",
            ),
            (
                "command:unit-tests",
                bool(commands.unit_tests),
                "no unit test command is declared",
                "declare commands.unit_tests in gonogo.toml",
            ),
            (
                "scratch",
                self.scratch.declared,
                "no command starts a scratch copy",
                "declare commands.scratch in gonogo.toml",
            ),
            (
                "mcp",
                self.settings.service.kind == "mcp" and bool(environment.base_url),
                "the service is not declared as an MCP service",
                'set service.kind = "mcp" in gonogo.toml',
            ),
            (
                "admin",
                bool(environment.admin_url),
                f"{section}.admin_url is empty",
                f"declare {section}.admin_url",
            ),
            (
                "baseline",
                self.baseline is not None,
                "nothing collects a baseline here",
                f"declare {section}.admin_url",
            ),
            (
                "previous",
                self.previous_manifest is not None,
                "the manifest of the version that serves now is not known",
                "keep the manifest of every released version in the repository",
            ),
        )


@asynccontextmanager
async def open_context(
    *,
    repo: Path,
    settings: Settings,
    environment_name: str,
    release: Release,
    manifest: Manifest,
    previous_manifest: Manifest | None,
    clock: Clock,
    baseline: BaselineSource | None = None,
) -> AsyncIterator[CheckContext]:
    """Wire a context; on leaving, the scratch copy and all connections are ended."""
    environment = settings.environments[environment_name]
    http = HttpReader()
    base_url = environment.base_url.rstrip("/")
    admin = AdminReader(environment.admin_url, http, critical_components=settings.service.critical_components)
    scratch = ScratchProvider(
        ScratchPlan(
            command=settings.commands.scratch,
            environment=settings.commands.scratch_env,
            repo=repo,
            serving=previous_manifest or manifest,
            candidate=manifest,
            mcp_path=environment.mcp_path,
        )
    )
    ctx = CheckContext(
        repo=repo,
        settings=settings,
        environment=environment,
        environment_name=environment_name,
        release=release,
        manifest=manifest,
        previous_manifest=previous_manifest,
        clock=clock,
        git=Git(repo),
        commands=CommandRunner(repo),
        production=ServiceReader(base_url, base_url + environment.mcp_path, admin, http),
        scratch=scratch,
        baseline=baseline,
    )
    try:
        yield ctx
    finally:
        await ctx.shared.close()
        await scratch.close()
        await http.close()
