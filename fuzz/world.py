"""One real runtime with small limits, and everything that must stay silent while bytes are thrown at it."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from erlmcp.config.schema import HttpSettings, McpSettings, Settings
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.runtime import GuestRuntime

MAX_HEADER_BYTES: Final = 1_024
MAX_HEADERS: Final = 24
MAX_BODY_BYTES: Final = 4_096
MAX_PIPELINED: Final = 4
MAX_DEPTH: Final = 16

GUEST: Final = f"{Path(__file__).with_name('guest.py')}:server"
REST_LIMIT_S: Final = 5.0
"""How long an input may keep the server busy, of the processor's time: it takes well under a millisecond, but
the machine may be busy with something else."""


class Finding(Exception):  # noqa: N818 - it is what the search is for
    """An input on which an invariant does not hold."""


class Listener(logging.Handler):
    """Remembers what is logged as an error: an exception that was caught at the last border is one, too."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self.heard.append(text)


class World:
    """The runtime, its loop, and what went wrong in either."""

    def __init__(self, runtime: GuestRuntime, loop: asyncio.AbstractEventLoop) -> None:
        self.runtime = runtime
        self.loop = loop
        self.sock = socket.socket()
        self.listener = Listener()
        self.raised: list[str] = []
        loop.set_exception_handler(self._raised)
        logging.getLogger().addHandler(self.listener)

    @classmethod
    async def start(cls) -> World:
        """Start a runtime in the running loop."""
        settings = Settings(
            http=HttpSettings(
                max_header_bytes=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
                max_body_bytes=MAX_BODY_BYTES,
                max_pipelined=MAX_PIPELINED,
            ),
            mcp=McpSettings(max_json_depth=MAX_DEPTH),
        )
        runtime = await GuestRuntime.start(
            GUEST, settings=settings, keys=KeyRing([KeyRing.generate()]), bus=LocalBus(), meter=Meter()
        )
        return cls(runtime, asyncio.get_running_loop())

    async def close(self) -> None:
        """End the runtime."""
        await self.runtime.close()
        logging.getLogger().removeHandler(self.listener)
        self.sock.close()

    def _raised(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.raised.append(f"{context.get('message')}: {context.get('exception')!r}")

    def check_silence(self) -> None:
        """Nothing was raised into the loop, and nothing was logged as an error.

        Raises:
            Finding: something was.
        """
        wrong = [*self.raised, *self.listener.heard]
        self.raised.clear()
        self.listener.heard.clear()
        if wrong:
            raise Finding(f"an exception got away: {wrong[0]}")

    async def rest(self, is_at_rest: Callable[[], bool], what: str) -> None:
        """Turn the loop until a condition holds.

        Raises:
            Finding: it does not within the limit.
        """
        until = time.process_time() + REST_LIMIT_S
        turns = 0
        while not is_at_rest():
            await asyncio.sleep(0)
            turns += 1
            if turns % 64 == 0 and time.process_time() > until:
                raise Finding(f"no rest within {REST_LIMIT_S:g} s: {what}")
