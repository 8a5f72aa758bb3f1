"""What the admin and control pages ask of the running server.

A port: the pages know only this, ``erlmcp.supervisor.master`` implements it, and a test can too. Values
are JSON as ``contracts/`` describes them. Faults are ``ErlmcpError`` with a status.
"""

from __future__ import annotations

from typing import Any, Protocol

from erlmcp.admin.dashboard.dashboard import Dashboard


class Reads(Protocol):
    """What the admin listener shows. Nothing here changes anything."""

    def health(self) -> dict[str, Any]:
        """Who this is and that it lives."""
        ...

    def ready(self) -> dict[str, Any]:
        """Whether it takes requests, component by component."""
        ...

    async def metrics(self) -> bytes:
        """The Prometheus page."""
        ...

    def config(self) -> dict[str, Any]:
        """The effective configuration with sources, secrets hidden."""
        ...

    def listeners(self) -> list[dict[str, Any]]:
        """Where it listens."""
        ...

    def faults(self) -> list[dict[str, Any]]:
        """The faults that are injected now."""
        ...

    async def generations(self) -> list[dict[str, Any]]:
        """Every generation."""
        ...

    def dashboard(self) -> Dashboard | None:
        """The page for people, if there is one."""
        ...


class Acts(Protocol):
    """What only the control socket may do."""

    async def stage(self, generation_id: str, body: bytes) -> tuple[dict[str, Any], bool]:
        """Start a generation that does not accept yet; the second value says whether it is new."""
        ...

    async def activate(self, generation_id: str) -> dict[str, Any]:
        """Switch to a generation."""
        ...

    async def drain(self, generation_id: str) -> dict[str, Any]:
        """Let a generation accept no more."""
        ...

    async def retire(self, generation_id: str) -> dict[str, Any]:
        """End a generation that is not active."""
        ...

    async def set_log_level(self, level: str) -> dict[str, Any]:
        """Change the least severe level that is written."""
        ...

    async def inject_fault(self, name: str, body: bytes) -> dict[str, Any]:
        """Begin an injected fault; refused in production."""
        ...

    async def end_fault(self, name: str) -> dict[str, Any]:
        """End an injected fault."""
        ...

    async def change_keys(self) -> dict[str, Any]:
        """Read the session keys again and give them to every worker."""
        ...


class Service(Reads, Acts, Protocol):
    """Both."""
