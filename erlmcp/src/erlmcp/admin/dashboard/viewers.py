"""Browsers that are told changes as they come: how many there may be, what each gets, and when one is cut
off.

A viewer gets the newest state only, and of it only what has changed since it last took something. So one
that is slow misses states between, and nothing piles up for it. One that takes nothing for too long is cut
off.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Final

import msgspec

from erlmcp.config.errors import ErlmcpError

_BUFFER_BYTES: Final = 64 * 1024
"""Of one viewer, in this process and in the kernel each."""
RETRY_MS: Final = 2_000


class Viewers:
    """All of one server."""

    def __init__(self, max_viewers: int, cut_after_s: float) -> None:
        self._max_viewers = max_viewers
        self._cut_after_s = cut_after_s
        self._viewers: set[Viewer] = set()

    def __len__(self) -> int:
        return len(self._viewers)

    def admit(self, transport: asyncio.Transport) -> Viewer:
        """One more. It must be let go with ``leave``.

        Raises:
            ErlmcpError: dashboard.too-many-viewers.
        """
        if len(self._viewers) >= self._max_viewers:
            raise ErlmcpError(
                "dashboard.too-many-viewers",
                f"no more browsers are told changes, got {len(self._viewers)};"
                f" expected at most {self._max_viewers}",
                hint="close one, or raise dashboard.max_viewers; the page itself can still be loaded",
                status=503,
            )
        viewer = Viewer(transport)
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """It has gone."""
        self._viewers.discard(viewer)

    def publish(self, regions: Mapping[str, str]) -> None:
        """Tell everybody what the page says now, and cut off who does not listen."""
        now = asyncio.get_running_loop().time()
        for viewer in list(self._viewers):
            if viewer.waits_since is not None and now - viewer.waits_since > self._cut_after_s:
                viewer.cut()
            else:
                viewer.show(regions)

    def close(self) -> None:
        """There will be nothing more."""
        for viewer in self._viewers:
            viewer.end()


class Viewer:
    """One browser.

    Attributes:
        waits_since: since when it has not taken what was sent, in the loop's time; None when it has.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._newest: Mapping[str, str] = {}
        self._changed = asyncio.Event()
        self._over = False
        self.waits_since: float | None = None

    def show(self, regions: Mapping[str, str]) -> None:
        """The page says this now."""
        self._newest = regions
        self._changed.set()

    def end(self) -> None:
        """It gets nothing more."""
        self._over = True
        self._changed.set()

    def cut(self) -> None:
        """Close its connection, whatever is unsent."""
        self.end()
        self._transport.abort()

    async def events(self) -> AsyncIterator[bytes]:
        """What to send, until it is over. The next is made when the one before was taken."""
        yield f"retry: {RETRY_MS}\n\n".encode()
        taken: dict[str, str] = {}
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._over:
                return
            changed = {name: str(html) for name, html in self._newest.items() if taken.get(name) != html}
            taken.update(changed)
            self.waits_since = self._loop.time()
            yield b"event: page\ndata: " + msgspec.json.encode(changed) + b"\n\n"
            self.waits_since = None
