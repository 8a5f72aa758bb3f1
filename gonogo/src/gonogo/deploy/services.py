"""What a deployment needs from outside, handed in by ``bootstrap``. No defaults that touch the world."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gonogo.adapters.announce import Channel
from gonogo.adapters.mcp_calls import CallAnswer
from gonogo.config.schema import Environment
from gonogo.deploy.platform import Platform
from gonogo.journal.journal import Journal
from gonogo.model.clock import Clock
from gonogo.model.verdict import GateResult
from gonogo.watch.reader import SampleReader, Sleep


class Calls(Protocol):
    """Real calls to the service; ``adapters.mcp_calls.McpCalls`` makes them."""

    async def smoke(self, endpoint: str) -> tuple[CallAnswer, ...]:
        """A journey in each era; raises GonogoError when one fails."""
        ...

    async def journey(self, endpoint: str) -> CallAnswer:
        """One journey."""
        ...

    async def ping(self, endpoint: str) -> None:
        """One labelled call; raises GonogoError only when no answer came."""
        ...


@dataclass(frozen=True, slots=True)
class DeployServices:
    """Everything a deployment to one environment uses.

    Attributes:
        state: folder of the journal; the lease and the durable state stand there too.
        gate: judges the release now; asked before the start and just before the switch.
        contact: whom to call, for announcements.
        closing: run at the end of a deployment, in its event loop.
    """

    service: str
    environment_name: str
    environment: Environment
    state: Path
    journal: Journal
    platform: Platform
    calls: Calls
    reader: SampleReader
    channel: Channel
    gate: Callable[[], GateResult]
    clock: Clock
    sleep: Sleep
    contact: str = ""
    closing: tuple[Callable[[], Awaitable[None]], ...] = ()

    @property
    def endpoint(self) -> str:
        """Where clients call the service."""
        return self.environment.base_url.rstrip("/") + self.environment.mcp_path
