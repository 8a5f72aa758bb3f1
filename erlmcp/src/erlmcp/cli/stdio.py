"""What ``erlmcp stdio`` does: one process, one client, until the client closes the input."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from erlmcp.cli.serve import STDERR, open_log
from erlmcp.config.auth_settings import AuthSettings
from erlmcp.config.keys import session_keys
from erlmcp.config.load import load
from erlmcp.config.schema import Settings
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.telemetry import logs
from erlmcp.telemetry.log_file import minded
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.runtime import GuestRuntime
from erlmcp.transports.stdio.server import serve_stdio, take_over
from erlmcp.transports.what_runs import watch_loop


@dataclass(frozen=True)
class StdioArguments:
    """The arguments of ``erlmcp stdio``; ``guest`` is for the guest."""

    target: str
    config: Path | None
    guest: Sequence[str] = ()
    factory: bool = False


def run(arguments: StdioArguments) -> None:
    """Serve until the input ends, then end this process: a thread of the guest must not keep it.

    Raises:
        ErlmcpError: anything that keeps it from starting.
    """
    settings = load(arguments.config, environ=os.environ).settings
    settings = settings.model_copy(
        update={"auth": AuthSettings()}
    )  # who started us is trusted; no token can come
    keys = KeyRing(session_keys(os.environ))
    log_file = open_log(settings.log)
    descriptor = log_file.descriptor if log_file is not None else STDERR
    logs.configure(settings.log, descriptor=descriptor)
    real_in, real_out = take_over()

    async def serve() -> None:
        with minded(log_file):
            await _serve(arguments, settings, keys, real_in, real_out)

    uvloop.run(serve())
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    os._exit(0)


async def _serve(
    arguments: StdioArguments, settings: Settings, keys: KeyRing, real_in: int, real_out: int
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    meter = Meter()
    runtime = await GuestRuntime.start(
        arguments.target,
        settings=settings,
        keys=keys,
        bus=LocalBus(),
        meter=meter,
        arguments=arguments.guest,
        factory=arguments.factory,
    )
    watch = watch_loop(meter, warn_s=settings.loop_blocked_warn_s, exit_s=0, on_stuck=_nobody_replaces_us)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(serve_stdio(runtime.channels, real_in, real_out))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    runtime.begin_drain()
    await asyncio.wait([serving], timeout=settings.drain_timeout_s)
    stopped.cancel()
    await runtime.close()
    watch.stop()
    serving.cancel()


def _nobody_replaces_us() -> None:
    """This process is all that its client has: it is never ended for a handler that blocks it."""
