"""``python -m benchmarks.channels.steps``: where the time of a call over TCP goes, step by step.

One process, no sockets: a worker's own objects with the configuration of the benchmark, each step timed by
itself as often as it takes, the whole call on a connection whose other end throws away what is written. What
is missing to the processor time that ``python -m benchmarks.channels`` measures is the kernel, the event loop
and the master. Beside it the bare server's step: decode, add, encode.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from benchmarks.channels.bare import answer
from benchmarks.http.messages import ARGUMENTS, ENVELOPE
from benchmarks.http.serving import CONFIG
from benchmarks.limits.__main__ import CLIENT

from erlmcp.config.load import load
from erlmcp.config.log_settings import LogSettings
from erlmcp.config.schema import Settings
from erlmcp.protocol.plain_call import decode_plain_call
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.supervisor.process import Lines
from erlmcp.telemetry import logs
from erlmcp.telemetry.log_writer import LogWriter
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.runtime import GuestRuntime
from erlmcp.transports.tcp.server import TcpServer, TcpWire

_CALLS: Final = 20_000
_REPETITIONS: Final = 15
_FIRST_TIMEOUT_S: Final = 10.0
_A_WRITE: Final = 16
"""Lines of the access log that are written together, see ``erlmcp.telemetry.access``."""

CALL: Final = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1_000_000,
        "method": "tools/call",
        "params": {"name": "add", "arguments": ARGUMENTS, "_meta": ENVELOPE},
    }
).encode()


class Nobody(asyncio.Transport):
    """The other end: takes everything at once and says nothing."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock, "peername": (CLIENT, 50_000), "sockname": (CLIENT, 1)})
        self.written = b""
        self.was_written_to = asyncio.Event()

    def write(self, data: Any) -> None:
        self.written = bytes(data)
        self.was_written_to.set()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


def us(step: Callable[[], object], calls: int = _CALLS) -> float:
    """The least of many means, in µs: what other programs took meanwhile is not ours."""
    return min(timeit.repeat(step, number=calls, repeat=_REPETITIONS)) / calls * 1e6


async def steps() -> dict[str, float]:
    """Each step and its µs for one call; the whole call first.

    Raises:
        AssertionError: the call was not answered, so something else was measured.
    """
    settings = load(CONFIG, environ={}, flags={}).settings
    with _logging_to_nowhere(settings.log) as nowhere:
        return await _steps(settings, nowhere)


@contextmanager
def _logging_to_nowhere(settings: LogSettings) -> Iterator[int]:
    """The log of this process goes to a descriptor that takes everything, until the end."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    nowhere = os.open(os.devnull, os.O_WRONLY)
    logs.configure(settings, descriptor=nowhere, generation="g1")
    try:
        yield nowhere
    finally:
        root.handlers[:] = before  # whoever opens a file next gets the number of ours
        root.setLevel(level)
        os.close(nowhere)


async def _steps(settings: Settings, nowhere: int) -> dict[str, float]:
    runtime = await GuestRuntime.start(
        "benchmarks.http.guests:sdk_server",
        settings=settings,
        keys=KeyRing([KeyRing.generate()]),
        bus=LocalBus(),
        meter=Meter(),
    )
    with socket.socket() as sock:
        try:
            other_end, wire = Nobody(sock), TcpWire(TcpServer(runtime.channels))
            wire.connection_made(other_end)
            wire.data_received(CALL + b"\n")  # the first one says of what era the client is
            async with asyncio.timeout(_FIRST_TIMEOUT_S):
                await other_end.was_written_to.wait()
            return await _outside_of_a_task(partial(_timed, runtime, wire, other_end, nowhere))
        finally:
            await runtime.close()


async def _outside_of_a_task(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """As the event loop calls a protocol: in a task a call would not be answered at once."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[dict[str, float]] = loop.create_future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as raised:  # noqa: BLE001 - whoever waits raises it
            done.set_exception(raised)

    loop.call_soon(run)
    return await done


def _timed(runtime: GuestRuntime, wire: TcpWire, other_end: Nobody, nowhere: int) -> dict[str, float]:
    service: Any = runtime._service  # noqa: SLF001 - the steps are timed, not the way to them
    compiled: Any = runtime.channels._compiled  # noqa: SLF001 - as above
    depth = service.settings.mcp.max_json_depth
    line = CALL + b"\n"

    def whole() -> None:
        wire.data_received(line)

    def four() -> None:
        wire.data_received(line * 4)

    other_end.written = b""
    whole()
    wire.flush()
    assert json.loads(other_end.written)["result"]["structuredContent"] == {"result": sum(ARGUMENTS.values())}
    call = decode_plain_call(CALL, max_depth=depth)
    assert call is not None
    tool, shapes = compiled._tools.find("add"), compiled._tools.shapes("2026-07-28")  # noqa: SLF001 - as above
    turn = service.turn.for_request(None, None)

    def limits() -> None:
        service.may_be_full()
        service.has_short_way("add", None)
        service.call_wait_s(CLIENT, "")

    def finished() -> None:
        service.meter.finished("tools/call", "modern", "tcp", "ok", 0.001, "add", tool_exists=True)

    def noted() -> None:
        service._access.note("tools/call", "modern", "ok", 0.001, None)  # noqa: SLF001 - as above

    text = b'{"ts":"2026-11-01T00:00:00.000+00:00","level":"info","event":"request"}' * 4
    relay = Lines(lambda lines: LogWriter(nowhere).write_line("\n".join(lines)))
    relayed = (text + b"\n") * _A_WRITE
    return {
        "the whole call": us(whole),
        "the whole call, four in a read": us(four) / 4,
        "decode it, as far as it must be known": us(lambda: decode_plain_call(CALL, max_depth=depth)),
        "limits": us(limits),
        "run the tool and write its answer": us(
            lambda: tool.now(call.id, call.params.arguments, shapes, turn)
        ),
        "metrics": us(finished),
        "access log": us(noted),
        "(the master) pass its line on": us(lambda: relay.data_received(relayed), _CALLS // _A_WRITE)
        / _A_WRITE,
        "(bare server) decode, add, encode": us(lambda: answer(CALL)),
    }


if __name__ == "__main__":
    for what, took in asyncio.run(steps()).items():
        print(f"{took:6.2f} µs  {what}")
