"""What ``erlmcp serve`` does: load, open the sockets, run the master until it ends."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from erlmcp.config.auth_settings import AuthSettings
from erlmcp.config.errors import ErlmcpError
from erlmcp.config.keys import changed_session_keys, session_keys
from erlmcp.config.load import load
from erlmcp.config.log_settings import LogSettings
from erlmcp.config.rules import require_real_issuers
from erlmcp.config.schema import Settings, TlsSettings
from erlmcp.supervisor.endpoints import Endpoints
from erlmcp.supervisor.giving_way import give_way
from erlmcp.supervisor.hosts import bus_access
from erlmcp.supervisor.key_change import WorkerKeys
from erlmcp.supervisor.master import Master
from erlmcp.supervisor.plan import Plan
from erlmcp.supervisor.renewal import Renewal
from erlmcp.supervisor.service_manager import ServiceManager
from erlmcp.supervisor.spec import GenerationSpec, checked
from erlmcp.telemetry import logs
from erlmcp.telemetry.log_file import LogFile, log_file_of, minded

STDERR = 2


@dataclass(frozen=True)
class ServeArguments:
    """The arguments of ``erlmcp serve``; ``flags`` are settings by dotted key, ``guest`` is for the guest."""

    target: str
    http: str
    tcp: str
    admin: str
    control: Path | None
    config: Path | None
    version_label: str
    flags: Mapping[str, Any]
    guest: Sequence[str] = ()
    factory: bool = False


def run(arguments: ServeArguments) -> int:
    """Serve until told to stop; the exit status.

    Raises:
        ErlmcpError: anything that keeps it from starting.
    """
    effective = load(arguments.config, environ=os.environ, flags=arguments.flags)
    settings = effective.settings
    spec = checked(
        GenerationSpec(
            target=arguments.target,
            version=arguments.version_label,
            args=list(arguments.guest),
            factory=arguments.factory,
        )
    )
    check(settings, os.environ)
    keys = session_keys(os.environ)
    bus = bus_access(settings.bus, os.environ)
    log_file = open_log(settings.log)
    descriptor = log_file.descriptor if log_file is not None else STDERR
    writer = logs.configure(settings.log, descriptor=descriptor)
    renewal = Renewal(settings.tls, utc_now)
    endpoints = Endpoints.open(
        http=arguments.http,
        tcp=arguments.tcp,
        admin=arguments.admin,
        control=arguments.control,
        settings=settings,
    )

    async def serve() -> int:
        shared = WorkerKeys(keys, partial(changed_session_keys, os.environ))
        manager = ServiceManager(os.environ)
        plan = Plan(spec, effective, shared, renewal, endpoints, utc_now, writer, _announce, bus, manager)
        with minded(log_file):
            return await Master(plan).run()

    give_way()
    return asyncio.run(serve())


def check(settings: Settings, environ: Mapping[str, str]) -> None:
    """Judge everything that a configuration names beyond itself: keys, tokens, certificates, the bus.

    Raises:
        ErlmcpError: what would keep a server from starting.
    """
    _require_no_debug(settings)
    session_keys(environ)
    bus_access(settings.bus, environ)
    if settings.auth != AuthSettings():
        from erlmcp.edge.auth import gate

        gate.check(settings.auth)
        require_real_issuers(settings)
    if settings.tls != TlsSettings():
        from erlmcp.edge.certificates import read

        read(settings.tls, utc_now())


def _require_no_debug(settings: Settings) -> None:
    """At run time an operator may still ask for it, which is logged with who did."""
    if settings.environment == "production" and settings.log.level == "debug":
        raise ErlmcpError(
            "config.debug-in-production",
            "everything would be logged in production, got log.level debug; expected info or less",
            hint='set log.level = "info"; a running server takes another level through its control socket',
        )


def open_log(settings: LogSettings) -> LogFile | None:
    """The file that takes log lines; None when that is standard error.

    Raises:
        ErlmcpError: config.log-file.
    """
    try:
        return log_file_of(settings)
    except OSError as fault:
        raise ErlmcpError(
            "config.log-file",
            f"the log cannot be opened, got {settings.file}: {fault.strerror}; expected a writable file",
            hint="check log.file and the rights on its folder",
        ) from fault


def _announce(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)  # noqa: TID251 - the one real clock of the server
