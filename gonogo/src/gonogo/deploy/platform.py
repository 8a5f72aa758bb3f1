"""A platform: how new code comes to run and traffic moves. The interface that each of them implements.

It speaks of generations only: one version of the service in its own processes. Every act may be asked for
twice and happens once; every act returns before it is believed, and ``deploy`` looks again by ``serving``
and ``generations``. Implementations stand in ``deploy.platforms``; one test suite runs against all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gonogo.config.schema import Manifest


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation as the platform reports it.

    Attributes:
        state: starting, staged, active, draining, warm, retiring, gone or failed.
        workers: process ids.
        private_url: where it always answers, traffic or not.
        error: why it failed, or empty.
    """

    id: str
    version: str
    state: str
    workers: tuple[int, ...]
    private_url: str
    config_hash: str
    in_flight: int
    connections: int
    streams: int
    restarts: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """What answers the public address, as seen from outside."""

    generation: str
    version: str
    config_hash: str


class Platform(Protocol):
    """Acts and looks. Every method raises GonogoError when it cannot do or see what was asked."""

    async def serving(self) -> Serving:
        """Who serves now, read from the service itself and not from what was asked of it."""
        ...

    async def generations(self) -> tuple[Generation, ...]:
        """All generations that the platform knows."""
        ...

    async def stage(self, generation: str, manifest: Manifest) -> None:
        """Start ``manifest`` as ``generation`` without traffic; returns when it runs."""
        ...

    async def activate(self, generation: str) -> None:
        """Move traffic to ``generation``; the one before drains and stays warm."""
        ...

    async def drain(self, generation: str) -> None:
        """Let ``generation`` finish what it has."""
        ...

    async def retire(self, generation: str) -> None:
        """End ``generation``; nothing happens if it is gone."""
        ...
