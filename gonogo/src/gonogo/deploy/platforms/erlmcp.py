"""Platform ``erlmcp``: generations behind one listening socket, switched over the control socket.

It acts through ``adapters.erlmcp_control`` and looks through the admin listener, which is another way in:
what the control socket says it did is not what proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gonogo.adapters.erlmcp_admin import AdminReader
from gonogo.adapters.erlmcp_control import ErlmcpControl
from gonogo.config.schema import Guest, Manifest
from gonogo.deploy.platform import Generation, Serving
from gonogo.model.errors import GonogoError


class ErlmcpPlatform:
    """One erlmcp server.

    Args:
        repo: the folder that a manifest's relative paths start from.
    """

    def __init__(self, control: ErlmcpControl, admin: AdminReader, repo: Path) -> None:
        self._control = control
        self._admin = admin
        self._repo = repo

    async def serving(self) -> Serving:
        """The active generation as /health of the admin listener names it."""
        body = await self._admin.health()
        try:
            return Serving(str(body["generation"]), str(body["version"]), str(body["config_hash"]))
        except KeyError as error:
            raise GonogoError(
                "platform.bad-answer", f"/health has no {error}; expected generation, version, config_hash"
            ) from error

    async def generations(self) -> tuple[Generation, ...]:
        """As the control socket lists them."""
        return tuple(_generation(body) for body in await self._control.generations())

    async def stage(self, generation: str, manifest: Manifest) -> None:
        """PUT the generation; the server answers when it is staged."""
        await self._control.stage(generation, spec_of(manifest, self._repo))

    async def activate(self, generation: str) -> None:
        """Answers when the new one accepts and the old one does not."""
        await self._control.activate(generation)

    async def drain(self, generation: str) -> None:
        """Answers at once; draining goes on."""
        await self._control.drain(generation)

    async def retire(self, generation: str) -> None:
        """Answers when it is told to end."""
        await self._control.retire(generation)


def spec_of(manifest: Manifest, repo: Path) -> Mapping[str, Any]:
    """The body that stages ``manifest``; relative paths are made absolute from ``repo``."""
    guest = manifest.guest
    return {
        "target": guest.target,
        "version": manifest.version,
        "python": _interpreter(guest, repo),
        "cwd": str((repo / guest.cwd).resolve()),
        "env": dict(guest.env),
        "config": dict(guest.config),
        "workers": None,
    }


def _interpreter(guest: Guest, repo: Path) -> str:
    """A path is made absolute but not resolved: the link itself is what marks a virtual environment."""
    if "/" not in guest.python:
        return guest.python
    return str((repo / guest.python).absolute())


def _generation(body: Mapping[str, Any]) -> Generation:
    try:
        return Generation(
            id=str(body["id"]),
            version=str(body["version"]),
            state=str(body["state"]),
            workers=tuple(int(pid) for pid in body["workers"]),
            private_url=str(body["private_url"]),
            config_hash=str(body["config_hash"]),
            in_flight=int(body["in_flight"]),
            connections=int(body["connections"]),
            streams=int(body["streams"]),
            restarts=int(body["restarts"]),
            error=str(body.get("error") or ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GonogoError(
            "platform.bad-answer", f"a generation cannot be read: {type(error).__name__} {error}"
        ) from error
