"""Requests of the server to its client, handshake era: who waits for which answer.

The answer is POSTed by the client and may reach any worker; the bus carries it to the one that waits. The key
of a wait holds the session, so that no session can answer for another. A question outside any call goes over
the bus, too, to the worker that has the session's standing stream: that worker says that it has it, and when
it ends, or nobody has such a stream, whoever asked is told instead of waiting in vain.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST, REQUEST_TIMEOUT

from erlmcp.protocol import jsonrpc
from erlmcp.protocol.jsonrpc import Response
from erlmcp.sessions.bus import (
    QUESTION_TAKEN,
    REPLY,
    SESSION_QUESTION,
    SESSION_STREAM,
    WORKER_GONE,
    Bus,
    BusEvent,
)

TAKEN_WITHIN_S: Final = 2.0
"""How long a client may be without a standing stream on which it can be asked."""

_ID_BITS: Final = 52
"""Random ids: unique over all workers, and exact in every JSON reader."""


class Question(msgspec.Struct, frozen=True, array_like=True):
    """A request for the client, and who waits for the answer."""

    key: str
    message: bytes


class _Wait:
    """One open question. ``published`` is the question if it went over the bus; ``at`` are the workers that
    have it since."""

    def __init__(self, published: BusEvent | None) -> None:
        self.answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.published = published
        self.at: set[str] = set()

    def fail(self, code: int, message: str) -> None:
        """There will be no answer."""
        if not self.answer.done():
            self.answer.set_exception(MCPError(code, message))


class Asking:
    """The open questions of one worker."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: dict[str, _Wait] = {}
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
        wait = self._waiting[key] = _Wait(None)
        try:
            await send(_request(request_id, method, params))
            return await _answered(wait, request_id, method, timeout_s, send)
        finally:
            del self._waiting[key]

    async def ask_on_standing_stream(
        self,
        sid: str,
        method: str,
        params: Mapping[str, Any] | None,
        timeout_s: float | None,
        send: Callable[[bytes], Awaitable[None]],
    ) -> dict[str, Any]:
        """Send a request on the session's standing stream, wherever that is, and wait for its result.

        Args:
            send: says something else on that stream.

        Raises:
            MCPError: the client's error; -32001 when the time is up; -32600 when the client has no such
                stream; -32603 when the worker that had it has died.
        """
        request_id = secrets.randbits(_ID_BITS)
        key = _key(sid, request_id)
        question = Question(key, _request(request_id, method, params))
        event = BusEvent(SESSION_QUESTION, sid, msgspec.msgpack.encode(question))
        wait = self._waiting[key] = _Wait(event)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(TAKEN_WITHIN_S, self._give_up, wait)
        try:
            self._bus.publish(event)
            return await _answered(wait, request_id, method, timeout_s, send)
        finally:
            timer.cancel()
            del self._waiting[key]

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
        if not self._waiting:
            return
        if event.kind == REPLY and event.key in self._waiting:
            self._resolve(event.key, self._decoder.decode(event.data))
        elif event.kind == QUESTION_TAKEN and event.key in self._waiting:
            self._waiting[event.key].at.add(event.data.decode("ascii"))
        elif event.kind == SESSION_STREAM:
            self._ask_again(event.key)
        elif event.kind == WORKER_GONE:
            self._lose(event.key)

    def _ask_again(self, sid: str) -> None:
        """The client has opened its standing stream: it can be asked what nobody could ask it before."""
        for wait in list(self._waiting.values()):
            if wait.published is not None and wait.published.key == sid and not wait.at:
                self._bus.publish(wait.published)

    def _lose(self, gone: str) -> None:
        for wait in self._waiting.values():
            left = {name for name in wait.at if not name.startswith(gone)}
            if wait.at and not left:
                wait.fail(INTERNAL_ERROR, "the worker that had the client's stream has died")
            wait.at = left

    def _give_up(self, wait: _Wait) -> None:
        if not wait.at:
            wait.fail(INVALID_REQUEST, "the client has no open stream on which it can be asked")

    def _resolve(self, key: str, response: Response) -> bool:
        wait = self._waiting.get(key)
        if wait is None:
            return False
        if not wait.answer.done():
            wait.answer.set_result(response)
        return True


def _key(sid: str, request_id: jsonrpc.RequestId) -> str:
    return f"{sid}:{request_id}"


async def _answered(
    wait: _Wait,
    request_id: int,
    method: str,
    timeout_s: float | None,
    send: Callable[[bytes], Awaitable[None]],
) -> dict[str, Any]:
    try:
        async with asyncio.timeout(timeout_s):
            response = await wait.answer
    except TimeoutError:
        await send(_cancellation(request_id, "timed out"))
        raise MCPError(REQUEST_TIMEOUT, f"Request {method!r} timed out") from None
    if response.error is not None:
        error = response.error
        raise MCPError(error["code"], error["message"], error.get("data"))
    return response.result or {}


def _request(request_id: int, method: str, params: Mapping[str, Any] | None) -> bytes:
    return jsonrpc.encode_request(request_id, method, None if params is None else dict(params))


def _cancellation(request_id: int, reason: str) -> bytes:
    return jsonrpc.encode_notification("notifications/cancelled", {"requestId": request_id, "reason": reason})
