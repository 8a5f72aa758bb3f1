"""The client that never retries: callers of both eras, and the traffic they make without pause.

Every request is sent once. Whatever comes back, or does not, is counted in the tally: a refused connection,
a cut answer, an error, an answer with the wrong content. A kept connection that the server has already closed
is replaced before a request is sent on it, as HTTP demands; a request that was sent is never sent again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from demo.calls import (
    SEED_NOTES,
    Call,
    Result,
    expect,
    handshake_request,
    initialize,
    initialized,
    judge_answer,
    modern_request,
    rotation,
    seed_body,
    seed_title,
    tool,
)
from demo.tally import Failure, Tally
from demo.wire import Connection, Head, WireError, events

MCP_PATH = "/mcp"
CALL_TIMEOUT_S = 10.0
_FRESH_CONNECTION_EVERY = 7  # rounds of one worker on one connection
_FRESH_SESSION_EVERY = 20  # rounds of one worker in one handshake session


class Caller:
    """Calls in the modern era over one kept-alive connection."""

    era = "modern"

    def __init__(self, host: str, port: int, tally: Tally) -> None:
        self._host = host
        self._port = port
        self._tally = tally
        self._connection: Connection | None = None
        self._next_id = 0

    async def ask(self, call: Call) -> Result | None:
        """Make one call, judge and count it; gives the result if it was right."""
        self._next_id += 1
        headers, body = self._encode(call, self._next_id)
        sent_s = _now_s()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                head, message = await self._exchange(headers, body, self._next_id)
        except (WireError, TimeoutError) as fault:
            self.leave()
            kind = fault.kind if isinstance(fault, WireError) else "timeout"
            reason = str(fault) or f"no answer within {CALL_TIMEOUT_S:g} s"
            self._tally.failed(Failure(_now_s(), self.era, call.name, kind, reason))
            return None
        outcome = judge_answer(call, message)
        if outcome.kind:
            failure = Failure(
                _now_s(),
                self.era,
                call.name,
                outcome.kind,
                f"{outcome.reason} (HTTP {head.status})",
                outcome.release,
            )
            self._tally.failed(failure)
            return None
        self._tally.answered(self.era, outcome.release, sent_s=sent_s, at_s=_now_s())
        self._answered(call, head)
        result: Result = message["result"]
        return result

    def leave(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def begin(self) -> None:
        """Nothing begins in the modern era: every request describes itself."""

    async def end(self) -> None:
        """Nothing ends either."""

    def _encode(self, call: Call, request_id: int) -> tuple[dict[str, str], bytes]:
        return modern_request(call, request_id)

    def _answered(self, call: Call, head: Head) -> None:
        """For the era that learns something from an answer's headers."""

    async def _connected(self) -> Connection:
        if self._connection is None or not self._connection.usable:
            self.leave()
            self._connection = await Connection.open(self._host, self._port)
            self._tally.connections += 1
        return self._connection

    async def _exchange(
        self, headers: Mapping[str, str], body: bytes, request_id: int
    ) -> tuple[Head, Mapping[str, Any]]:
        connection = await self._connected()
        head = await connection.send("POST", MCP_PATH, headers, body)
        if head.streams:
            answer = None
            async for data in events(connection.chunks(head)):
                message = parse(data)
                answer = message if message.get("id") == request_id else answer
            if answer is None:
                raise WireError("cut", "the stream ended without the answer")
            return head, answer
        text = await connection.body(head)
        if not text:
            raise WireError("status", f"HTTP {head.status} without a body")
        message = parse(text)
        if message.get("id") != request_id:
            raise WireError("status", f"HTTP {head.status} answers id {message.get('id')!r}: {text[:120]!r}")
        return head, message


class HandshakeCaller(Caller):
    """Calls in a session of the handshake era."""

    era = "handshake"

    def __init__(self, host: str, port: int, tally: Tally) -> None:
        super().__init__(host, port, tally)
        self._session = ""

    async def begin(self) -> None:
        """Open a session; without one each later call fails and is counted."""
        self._session = ""
        await self.ask(initialize())
        if self._session:
            self._tally.sessions += 1
            await self._tell("notifications/initialized", "POST", initialized(), {202})

    async def end(self) -> None:
        """Delete the session."""
        if self._session:
            await self._tell("delete session", "DELETE", b"", {200, 204})
            self._session = ""

    def _encode(self, call: Call, request_id: int) -> tuple[dict[str, str], bytes]:
        return handshake_request(call, request_id, self._session)

    def _answered(self, call: Call, head: Head) -> None:
        if call.method == "initialize":
            self._session = head.headers.get("mcp-session-id", "")

    async def _tell(self, name: str, method: str, body: bytes, wanted: set[int]) -> None:
        headers, _ = handshake_request(Call(name, ""), 0, self._session)
        sent_s = _now_s()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                connection = await self._connected()
                head = await connection.send(method, MCP_PATH, headers, body)
                await connection.body(head)
            if head.status not in wanted:
                raise WireError("status", f"HTTP {head.status}; expected {sorted(wanted)}")
        except (WireError, TimeoutError) as fault:
            self.leave()
            kind = fault.kind if isinstance(fault, WireError) else "timeout"
            self._tally.failed(Failure(_now_s(), self.era, name, kind, str(fault)))
        else:
            self._tally.answered(self.era, "", sent_s=sent_s, at_s=_now_s())


class Traffic:
    """Workers of both eras that call without pause, at a fixed pace together."""

    def __init__(
        self, host: str, port: int, tally: Tally, *, calls_per_s: float = 60.0, workers: int = 6
    ) -> None:
        self._host = host
        self._port = port
        self._tally = tally
        self._interval_s = workers / calls_per_s
        self._workers = workers
        self._stopping = asyncio.Event()

    async def prepare(self) -> list[str]:
        """Make the seed notes that no later call changes; gives their ids.

        Raises:
            RuntimeError: the service does not even create a note.
        """
        caller = Caller(self._host, self._port, self._tally)
        seeds: list[str] = []
        for number in range(SEED_NOTES):
            made = await caller.ask(
                tool(
                    "create_note",
                    expect({"title": seed_title(number), "revision": 1}),
                    title=seed_title(number),
                    body=seed_body(number),
                    tags=["seed"],
                )
            )
            if made is None:
                raise RuntimeError(f"the service cannot create a note: {self._tally.failures[-1].reason}")
            seeds.append(made["structuredContent"]["id"])
        caller.leave()
        return seeds

    async def run(self, seeds: Sequence[str]) -> None:
        """Call until ``stop``; returns when every call that was begun is counted."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                kind = HandshakeCaller if number % 2 else Caller
                group.create_task(self._work(kind(self._host, self._port, self._tally), number, seeds))

    def stop(self) -> None:
        """Let each worker finish the call it is at."""
        self._stopping.set()

    async def _work(self, caller: Caller, number: int, seeds: Sequence[str]) -> None:
        pace = _Pace(self._interval_s, offset_s=self._interval_s * number / self._workers)
        rounds = 0
        while not self._stopping.is_set():
            if rounds % _FRESH_SESSION_EVERY == 0:
                await caller.end()
                await caller.begin()
            if rounds % _FRESH_CONNECTION_EVERY == 0:
                caller.leave()
            for call in rotation(seeds, number + rounds):
                if self._stopping.is_set():
                    break
                await pace.wait()
                await caller.ask(call)
            await self._write(caller, pace, number, rounds)
            rounds += 1
        await caller.end()
        caller.leave()

    async def _write(self, caller: Caller, pace: _Pace, number: int, rounds: int) -> None:
        """Create a note and take it away again."""
        title = f"Scratch {number}.{rounds}"
        await pace.wait()
        made = await caller.ask(
            tool("create_note", expect({"title": title, "tags": ["traffic"]}), title=title, tags=["traffic"])
        )
        if made is not None:
            note_id = made["structuredContent"]["id"]
            await caller.ask(tool("delete_note", expect({"id": note_id, "title": title}), note_id=note_id))


class _Pace:
    """Evenly spaced turns; one that is late is not made up for."""

    def __init__(self, interval_s: float, *, offset_s: float) -> None:
        self._interval_s = interval_s
        self._next_s = _now_s() + offset_s

    async def wait(self) -> None:
        late_s = _now_s() - self._next_s
        if late_s < 0:
            await asyncio.sleep(-late_s)
        self._next_s += self._interval_s + max(late_s, 0.0)


@asynccontextmanager
async def running(traffic: Traffic, seeds: Sequence[str]) -> AsyncIterator[None]:
    """Traffic for as long as the block runs."""
    async with AsyncExitStack() as stack:
        task = asyncio.create_task(traffic.run(seeds))
        stack.push_async_callback(_joined, task)
        stack.callback(traffic.stop)
        yield


async def _joined(task: asyncio.Task[None]) -> None:
    await task


def parse(text: str | bytes) -> Mapping[str, Any]:
    try:
        message = json.loads(text)
    except ValueError:
        raise WireError("framing", f"the answer is not JSON, got {text[:80]!r}") from None
    if not isinstance(message, dict):
        raise WireError("framing", f"the answer is not a JSON object, got {text[:80]!r}")
    return message


def _now_s() -> float:
    return asyncio.get_running_loop().time()
