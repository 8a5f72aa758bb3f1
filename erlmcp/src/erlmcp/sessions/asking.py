"""Requests of the server to its client, handshake era: who waits for which answer.

The answer is POSTed by the client and may reach any worker; the bus carries it to the one that waits. The key
of a wait holds the session, so that no session can answer for another.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from mcp.shared.exceptions import MCPError
from mcp_types import REQUEST_TIMEOUT

from erlmcp.protocol import jsonrpc
from erlmcp.protocol.jsonrpc import Response
from erlmcp.sessions.bus import REPLY, Bus, BusEvent

_ID_BITS = 52
"""Random ids: unique over all workers, and exact in every JSON reader."""


class Asking:
    """The open questions of one worker."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: dict[str, asyncio.Future[Response]] = {}
        self._decoder = msgspec.json.Decoder(Response)
        self._unsubscribe = bus.subscribe(self._hear)

    async def ask(
        self,
        sid: str,
        method: str,
        params: Mapping[str, Any] | None,
        timeout_s: float | None,
        send: Callable[[bytes], Awaitable[None]],
    ) -> dict[str, Any]:
        """Send a request by ``send`` and wait for its result.

        Raises:
            MCPError: the client's error, or -32001 when the time is up.
        """
        request_id = secrets.randbits(_ID_BITS)
        key = _key(sid, request_id)
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await send(jsonrpc.encode_request(request_id, method, None if params is None else dict(params)))
            async with asyncio.timeout(timeout_s):
                response = await answer
        except TimeoutError:
            await send(_cancellation(request_id, "timed out"))
            raise MCPError(REQUEST_TIMEOUT, f"Request {method!r} timed out") from None
        finally:
            self._waiting.pop(key, None)
        if response.error is not None:
            error = response.error
            raise MCPError(error["code"], error["message"], error.get("data"))
        return response.result or {}

    def answer(self, sid: str, response: Response) -> None:
        """A client has answered; whoever waits gets it, here or in another worker."""
        key = _key(sid, response.id)
        if not self._resolve(key, response):
            # JSON, as it came: a client may send integers that no other format here has room for
            self._bus.publish(BusEvent(REPLY, key, msgspec.json.encode(response)))

    def close(self) -> None:
        """Hear no more answers."""
        self._unsubscribe()

    def _hear(self, event: BusEvent) -> None:
        if event.kind == REPLY and event.key in self._waiting:
            self._resolve(event.key, self._decoder.decode(event.data))

    def _resolve(self, key: str, response: Response) -> bool:
        answer = self._waiting.get(key)
        if answer is None:
            return False
        if not answer.done():
            answer.set_result(response)
        return True


def _key(sid: str, request_id: jsonrpc.RequestId) -> str:
    return f"{sid}:{request_id}"


def _cancellation(request_id: int, reason: str) -> bytes:
    return jsonrpc.encode_notification("notifications/cancelled", {"requestId": request_id, "reason": reason})
