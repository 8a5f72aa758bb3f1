"""Redis as the line between hosts: one channel to which all publish and all subscribe; nothing is stored.

It connects, and connects again with growing pauses when the connection is lost, slow or silent. A batch that
may not have arrived is sent again on the next connection: receivers know letters by their numbers. What the
letters say is not known here. Needs the extra ``erlmcp[redis]``.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from erlmcp.sessions.hosts.bridge import SIGNS_IN_TIMEOUT, Bridge
from erlmcp.telemetry.logs import Log

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

FIRST_PAUSE_S: Final = 0.1
MAX_PAUSE_S: Final = 5.0
CHANNEL_VERSION: Final = 1
"""Of what is said; hosts that say something else use another channel."""


log = Log(__name__)


class LineCutError(Exception):
    """The line was given up though no error came from it."""


@dataclass(frozen=True)
class RedisAccess:
    """Where the server is, and who we are there.

    Attributes:
        url: without a password.
        name: of the service; its hosts hear each other.
        password: empty for none; never shown.
        ca_file: certificates to trust; empty for those of the system.
    """

    url: str
    name: str
    password: str = field(default="", repr=False)
    ca_file: str = ""

    @property
    def channel(self) -> str:
        """The channel of the service."""
        return f"{self.name}:bus:{CHANNEL_VERSION}"


class RedisLink:
    """The line.

    Args:
        access: where to.
        bridge: says what is to be sent, and takes what comes.
        timeout_s: the longest time for any answer of the server.
    """

    def __init__(self, access: RedisAccess, bridge: Bridge, timeout_s: float) -> None:
        self._access = access
        self._bridge = bridge
        self._timeout_s = timeout_s
        self._wanted = asyncio.Event()
        self._cut: asyncio.Future[None] | None = None
        self._unsent: list[bytes] = []
        bridge.line = self

    def wake(self) -> None:
        """There is something to send."""
        self._wanted.set()

    def cut(self, why: str) -> None:
        """Give the connection up and make another."""
        if self._cut is not None and not self._cut.done():
            self._cut.set_exception(LineCutError(why))

    async def run(self) -> None:
        """Keep the line until cancelled."""
        from redis.exceptions import RedisError

        pause_s = FIRST_PAUSE_S
        looking = asyncio.create_task(self._look_around())
        try:
            while True:
                try:
                    await self._live()
                except (RedisError, OSError, TimeoutError, LineCutError) as fault:
                    pause_s = FIRST_PAUSE_S if self._bridge.is_up else min(pause_s * 2, MAX_PAUSE_S)
                    self._bridge.line_down(_reason(fault))
                except Exception as fault:  # whatever it is, the other hosts are still there
                    log.exception("bus.line-failed")
                    self._bridge.line_down(_reason(fault))
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnects
        finally:
            looking.cancel()

    async def _live(self) -> None:
        """One connection, from its start to its end, which is always an exception."""
        async with contextlib.AsyncExitStack() as stack:
            client = self._client()
            stack.push_async_callback(_closed, client)
            pubsub = client.pubsub()
            stack.push_async_callback(_closed, pubsub)
            async with asyncio.timeout(self._timeout_s):
                await pubsub.subscribe(self._access.channel)
                while (await pubsub.get_message(timeout=self._timeout_s)) is None:
                    pass  # the first message confirms that we are subscribed
            self._cut = asyncio.get_running_loop().create_future()
            self._bridge.line_up()
            tasks = [
                asyncio.ensure_future(each) for each in (self._read(pubsub), self._write(client), self._cut)
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    if task.done():
                        task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _client(self) -> Redis:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        options: dict[str, Any] = {}
        if self._access.password:
            options["password"] = self._access.password
        if self._access.ca_file:
            options["ssl_ca_certs"] = self._access.ca_file
        return Redis.from_url(
            self._access.url,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 0),
            **options,
        )

    async def _read(self, pubsub: PubSub) -> None:
        async for message in pubsub.listen():
            if message["type"] == "message":
                self._bridge.hear(message["data"])
                await asyncio.sleep(0)  # a flood must not keep the others from their turn
        raise LineCutError("the subscription has ended")

    async def _write(self, client: Redis) -> None:
        """Send what there is to say, and signs of life when they are due."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if not self._unsent:  # else it is from the connection before, and comes first
                self._unsent = self._bridge.take()
                if loop.time() >= due:
                    due = loop.time() + self._timeout_s / SIGNS_IN_TIMEOUT
                    self._unsent.append(self._bridge.sign_of_life())
            if self._unsent:
                await self._send(client, self._unsent)
                self._unsent = []
                continue
            self._wanted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - loop.time())):
                    await self._wanted.wait()

    async def _send(self, client: Redis, letters: list[bytes]) -> None:
        async with asyncio.timeout(self._timeout_s):
            pipeline = client.pipeline(transaction=False)
            for letter in letters:
                pipeline.publish(self._access.channel, letter)
            await pipeline.execute()

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(self._timeout_s / SIGNS_IN_TIMEOUT)
            self._bridge.look_around()


async def _closed(connection: Redis | PubSub) -> None:
    with contextlib.suppress(Exception):  # it may be broken; there is nobody to tell
        await connection.aclose()


def _reason(fault: BaseException) -> str:
    """What went wrong, in a line that does not hold the address twice."""
    text = str(fault) or type(fault).__name__
    return f"{type(fault).__name__}: {text}" if text != type(fault).__name__ else text
