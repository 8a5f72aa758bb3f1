"""The session keys of all workers, and how they are changed while every worker goes on serving.

Any worker may be asked about a session that another has begun, so a key must be known everywhere before the
first worker seals with it. A change therefore has two steps: every worker opens with the old and the new
keys and seals as before; when all have confirmed it, every worker takes the new ones alone. Where keys come
from is ``erlmcp.config.keys``; what is sealed with them is ``erlmcp.sessions.sealed``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from erlmcp.config.errors import ErlmcpError
from erlmcp.sessions.sealed import KeyRing
from erlmcp.supervisor.process import CommandFailedError
from erlmcp.telemetry.logs import Log

NAME_CHARS = 8
"""Of the name of a key: enough to tell sixteen keys apart, and nothing can be computed from it."""

Spread = Callable[[Sequence[bytes]], Awaitable[None]]

log = Log(__name__)


class WorkerKeys:
    """The keys that workers have, or are to have.

    Args:
        keys: those at the start; the first seals.
        read: where the next ones come from; raises ErlmcpError when they cannot be had.
    """

    def __init__(self, keys: Sequence[bytes], read: Callable[[], Sequence[bytes]]) -> None:
        self.current = tuple(keys)
        """What a worker that starts now is given."""
        self._read = read
        self._changing = asyncio.Lock()

    async def change(self, spread: Spread) -> list[str]:
        """Read the keys again and give them to every worker.

        Args:
            spread: gives keys to every worker and returns when all have confirmed.

        Returns:
            The names of the keys; the first seals.

        Raises:
            ErlmcpError: keys.unconfirmed, or why they cannot be read; then sessions go on as before.
        """
        async with self._changing:
            new = tuple(self._read())
            try:
                for step in ((*self.current, *new), new):
                    self.current = tuple(dict.fromkeys(step))
                    await spread(self.current)
            except CommandFailedError as fault:
                raise ErlmcpError(
                    "keys.unconfirmed",
                    f"the session keys are not changed everywhere, got {fault}; expected every worker to"
                    " confirm",
                    hint="a handler may block the event loop; try again, sessions go on meanwhile",
                    exit_code=1,
                    status=504,
                ) from fault
            names = key_names(new)
            log.info("keys.changed", keys=names)
            return names


def key_names(keys: Sequence[bytes]) -> list[str]:
    """A name for each key, by which two hosts can be compared; a key cannot be found out from it."""
    return [key.hex()[:NAME_CHARS] for key in KeyRing(keys).derived("key name")]
