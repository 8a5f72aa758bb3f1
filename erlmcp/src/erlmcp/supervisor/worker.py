"""A worker: one process that runs the guest and obeys the master.

Run as ``python -m erlmcp.supervisor.worker`` by ``erlmcp.supervisor.process``; nothing imports it. It
accepts on its private listener as soon as the guest runs, and on the public one when told. When the channel
closes because the master died, it drains and ends: nobody would replace it or switch it any more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import logging
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec
import uvloop

from erlmcp.config.injected_fault import InjectedFault
from erlmcp.config.schema import Settings
from erlmcp.dispatch.sdk_present import require_sdk
from erlmcp.sessions.sealed import KeyRing
from erlmcp.supervisor.channel import Channel, ChannelBus
from erlmcp.supervisor.garbage import Collections
from erlmcp.supervisor.messages import (
    CHANNEL_VERSION,
    STUCK_STATUS,
    WHERE_SIGNAL,
    Command,
    Done,
    Keys,
    Message,
    Ready,
    Relay,
    Report,
    Start,
    StartFailed,
)
from erlmcp.telemetry import logs, tracing
from erlmcp.telemetry.dependencies import OF_THIS_PROCESS
from erlmcp.telemetry.log_file import log_file_of
from erlmcp.telemetry.loop_watch import LoopWatch
from erlmcp.telemetry.meter import Meter
from erlmcp.telemetry.redaction import NOTHING_DECLARED, Redaction
from erlmcp.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from erlmcp.transports.runtime import GuestRuntime

REPORT_INTERVAL_S = 1.0
ACCEPT_SETTLE_S = 0.1
"""Connections that were accepted before accepting stopped may not have been counted yet: one loop turn."""
DRAIN_POLL_S = 0.02
CLOSE_TIMEOUT_S = 2.0
FIRST_MESSAGE_TIMEOUT_S = 10.0
_RAISED_BY_GUEST = {"guest.import-failed", "guest.start-failed"}
"""Faults whose traceback the author of the guest needs."""

log = logs.Log("erlmcp.supervisor.worker")  # its name here is __main__


class Worker:
    """The life of this process, from the first message to the last report."""

    def __init__(self, log_descriptor: int) -> None:
        self._log_descriptor = log_descriptor
        self._first: asyncio.Future[Start] = asyncio.get_running_loop().create_future()
        self._stop: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._channel = Channel(self._hear, self._orphaned)
        self._bus = ChannelBus()
        self._meter = Meter()
        self._sockets: dict[str, socket.socket] = {}
        self._listening: set[str] = set()
        self._keys: KeyRing | None = None
        self._runtime: GuestRuntime | None = None
        self._watch: LoopWatch | None = None
        self._collections: Collections | None = None
        self._minding: asyncio.Task[None] | None = None
        """Looks after the log, to the end."""
        self._drain_timeout_s = 0.0
        self._redaction = NOTHING_DECLARED
        self._tracing = Tracing()

    async def run(self, channel_descriptor: int) -> int:
        """Serve until told to stop; the exit status."""
        await _connect(self._channel, channel_descriptor)
        async with asyncio.timeout(FIRST_MESSAGE_TIMEOUT_S):
            start = await self._first
        if not await self._start(start):
            return 1
        reporting = asyncio.create_task(self._report_for_ever())
        deadline_s = await self._stop
        await self._end(deadline_s)
        reporting.cancel()
        await asyncio.to_thread(self._tracing.close)
        self._report()
        if self._watch is not None:
            self._watch.stop()
        self._channel.close()
        return 0

    async def _start(self, start: Start) -> bool:
        if start.channel_version != CHANNEL_VERSION:
            self._refuse(
                "worker.other-release",
                f"the worker speaks channel version {CHANNEL_VERSION}, got {start.channel_version} from"
                " the master; expected the same",
                "install the same release of erlmcp in the interpreter of the generation",
            )
            return False
        settings = Settings.model_validate(start.settings)
        self._drain_timeout_s = settings.drain_timeout_s
        log_file = log_file_of(settings.log)
        if log_file is not None:
            self._minding = asyncio.create_task(log_file.mind())
        descriptor = log_file.descriptor if log_file is not None else self._log_descriptor
        self._redaction = Redaction(settings.log.redact_arguments)
        logs.configure(settings.log, descriptor=descriptor, generation=start.generation)
        self._take_signals()
        self._sockets = {name: socket.socket(fileno=number) for name, number in start.listeners.items()}
        for each in self._sockets.values():
            each.setblocking(False)
            each.set_inheritable(False)  # a program that the guest runs must not hold them
        self._bus.attach(self._channel)
        try:
            self._runtime = await self._load(start, settings)
        except (Exception, SystemExit) as fault:  # noqa: BLE001 - whatever the guest does at start is reported
            self._refuse_guest(start.target, fault)
            return False
        self._collections = Collections(asyncio.get_running_loop())
        self._watch = self._watch_loop(settings)
        self._listen("private")
        guest = self._runtime.guest
        self._report()
        self._channel.send(Ready(guest.name, guest.version, guest.kind))
        log.info("worker.ready", guest=guest.name, guest_version=guest.version)
        return True

    async def _load(self, start: Start, settings: Settings) -> GuestRuntime:
        if settings.trace.endpoint:
            self._tracing = tracing.start(
                settings.trace, self._redaction, service=start.target, instance=start.worker
            )
        require_sdk()  # before anything of it is imported: this may be an interpreter without it
        from erlmcp.transports.runtime import GuestRuntime

        self._keys = KeyRing(start.keys)
        runtime = await GuestRuntime.start(
            start.target,
            settings=settings,
            keys=self._keys,
            bus=self._bus,
            meter=self._meter,
            arguments=start.args,
            factory=start.factory,
            identity=start.identity,
            worker=start.worker,
            has_keeper=True,
        )
        self._take_signals()  # again: the guest may have asked for them
        return runtime

    def _watch_loop(self, settings: Settings) -> LoopWatch:
        from erlmcp.transports.what_runs import watch_loop

        return watch_loop(
            self._meter,
            warn_s=settings.loop_blocked_warn_s,
            exit_s=settings.loop_blocked_exit_s,
            on_stuck=partial(os._exit, STUCK_STATUS),
        )

    def _take_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the master
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM, self._request_stop, self._drain_timeout_s
        )

    def _refuse_guest(self, target: str, fault: BaseException) -> None:
        error_id = getattr(fault, "error_id", "")
        if not error_id or error_id in _RAISED_BY_GUEST:
            traceback.print_exception(fault.__cause__ or fault, file=sys.stderr)
        self._refuse(
            error_id or "guest.start-failed",
            str(getattr(fault, "message", "")) or f"the guest {target} raised {fault!r} when it started",
            str(getattr(fault, "hint", "") or "") or "mend what the log names and stage it again",
        )

    def _refuse(self, error_id: str, message: str, hint: str) -> None:
        log.error("worker.start-failed", error_id=error_id, message=message)
        message = self._redaction.text(message)  # it holds what the guest raised, and is shown to people
        self._channel.send(StartFailed(error_id, message, self._redaction.text(hint)))
        self._channel.close()

    def _hear(self, message: Message) -> None:
        match message:
            case Relay():
                self._bus.receive(message)
            case Start() if not self._first.done():
                self._first.set_result(message)
            case Command():
                self._obey(message.number, message.act, partial(self._carry_out, message))
            case Keys():
                self._obey(message.number, "keys", partial(self._take_keys, message.keys))
            case _:
                log.warning("channel.unexpected-message", message=type(message).__name__)

    def _obey(self, number: int, act: str, carry_out: Callable[[], None]) -> None:
        try:
            carry_out()
        except Exception as fault:
            log.exception("worker.command-failed", act=act)
            self._channel.send(Done(number, repr(fault)))
        else:
            self._channel.send(Done(number))

    def _take_keys(self, keys: list[bytes]) -> None:
        if self._keys is None:
            raise RuntimeError("the guest has not started")
        self._keys.replace(keys)

    def _carry_out(self, command: Command) -> None:
        if self._runtime is None:
            raise RuntimeError("the guest has not started")
        match command.act:
            case "listen":
                self._listen(command.argument)
            case "stop-listening":
                self._stop_listening(command.argument)
            case "drain":
                self._runtime.begin_drain()
            case "resume":
                self._runtime.resume()
            case "report":
                self._report()
            case "log-level":
                logs.set_level(command.argument)
            case "identity" if command.identity is not None:
                self._runtime.renew_identity(command.identity)
            case "fault":
                name, fault = msgspec.json.decode(command.argument, type=tuple[str, InjectedFault | None])
                self._runtime.inject(name, fault)
            case "stop":
                self._request_stop(command.deadline_s)

    def _listen(self, name: str) -> None:
        if name not in self._listening:
            self._required_runtime.listen(self._sockets[name], name)
            self._listening.add(name)

    def _stop_listening(self, name: str) -> None:
        if name in self._listening:
            self._required_runtime.stop_listening(name)
            self._listening.discard(name)

    @property
    def _required_runtime(self) -> GuestRuntime:
        assert self._runtime is not None, "the guest has started"
        return self._runtime

    def _request_stop(self, deadline_s: float) -> None:
        if not self._stop.done():
            self._stop.set_result(deadline_s)

    def _orphaned(self) -> None:
        if self._stop.done():
            return
        if not self._first.done():
            self._first.set_exception(ConnectionResetError("the master is gone"))
        if self._runtime is None:
            os._exit(1)  # the guest may be anywhere in its start; there is nothing to drain
        log.warning("worker.orphaned", message="the master is gone; draining")
        self._request_stop(self._drain_timeout_s)

    async def _end(self, deadline_s: float) -> None:
        """Accept no more, let running requests finish within the deadline, then close everything."""
        runtime = self._required_runtime
        for name, each in self._sockets.items():
            self._stop_listening(name)
            each.close()
        runtime.begin_drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await asyncio.sleep(min(ACCEPT_SETTLE_S, deadline_s))
                while _is_busy(runtime):  # noqa: ASYNC110 - the hot path sets no event for this
                    await asyncio.sleep(DRAIN_POLL_S)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await runtime.close()
        except Exception:  # a guest that ends badly must not keep the process
            log.exception("worker.close-failed")

    async def _report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            self._report()

    def _metrics(self) -> dict[str, Any]:
        collections = {} if self._collections is None else self._collections.snapshot()
        return self._meter.snapshot() | OF_THIS_PROCESS.snapshot() | self._tracing.snapshot() | collections

    def _report(self) -> None:
        counts = self._required_runtime.counts()
        threads = self._required_runtime.threads.count()
        self._channel.send(
            Report(
                in_flight=counts.in_flight,
                connections=counts.connections,
                streams=counts.streams,
                resident_memory_bytes=resident_memory_bytes(),
                cpu_s=time.process_time(),
                metrics=self._metrics(),
                loop_lag_s=self._watch.lag_s if self._watch is not None else 0.0,
                sessions=counts.sessions,
                subscriptions=counts.subscriptions,
                channel_subscriptions=counts.channel_subscriptions,
                threads_busy=threads.busy,
                threads_lost=threads.lost,
                is_worn=self._required_runtime.threads.is_worn(threads),
            )
        )


def _is_busy(runtime: GuestRuntime) -> bool:
    counts = runtime.counts()
    return counts.in_flight > 0 or counts.streams > 0


def resident_memory_bytes() -> int:
    """Memory of this process that is in RAM now."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read each second; a Path costs more
        return int(file.read().split()[1]) * resource.getpagesize()


async def _connect(channel: Channel, descriptor: int) -> None:
    ours = socket.socket(fileno=descriptor)
    ours.setblocking(False)
    await asyncio.get_running_loop().create_unix_connection(lambda: channel, sock=ours)


async def _main(channel_descriptor: int, log_descriptor: int) -> int:
    return await Worker(log_descriptor).run(channel_descriptor)


def main() -> None:
    """Read the two descriptors and run."""
    parser = argparse.ArgumentParser(prog="erlmcp.supervisor.worker")
    parser.add_argument("--channel", type=int, required=True, help="descriptor of the socket to the master")
    parser.add_argument("--log", type=int, required=True, help="descriptor that takes log lines")
    arguments = parser.parse_args()
    faulthandler.enable()  # a guest that crashes the interpreter leaves the place in the log
    faulthandler.register(WHERE_SIGNAL)
    for descriptor in (arguments.channel, arguments.log):
        os.set_inheritable(descriptor, False)
        os.set_blocking(descriptor, False)
    status = uvloop.run(_main(cast("int", arguments.channel), cast("int", arguments.log)))
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    os._exit(status)  # a thread of the guest that never ends must not keep the process


if __name__ == "__main__":
    main()
