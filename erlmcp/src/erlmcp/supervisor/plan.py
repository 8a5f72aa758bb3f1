"""What the command line hands to the master: everything that was read, judged and opened before it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from erlmcp.config.load import Effective
from erlmcp.supervisor.endpoints import Endpoints
from erlmcp.supervisor.hosts import BusAccess
from erlmcp.supervisor.key_change import WorkerKeys
from erlmcp.supervisor.renewal import Renewal
from erlmcp.supervisor.service_manager import ServiceManager
from erlmcp.supervisor.spec import GenerationSpec
from erlmcp.telemetry.log_writer import LogWriter


@dataclass(frozen=True)
class Plan:
    """What ``erlmcp serve`` was asked for.

    Attributes:
        spec: the first generation.
        effective: the configuration.
        keys: the session keys, and where others come from.
        renewal: the certificate of the public listeners, if they have one.
        endpoints: the sockets, open.
        bus: how to reach the other hosts; None when there are none.
        manager: the service manager of the system, if it wants to be told.
        clock: the time, UTC.
        log_writer: where log lines go.
        announce: told once when the first generation accepts.
    """

    spec: GenerationSpec
    effective: Effective
    keys: WorkerKeys
    renewal: Renewal
    endpoints: Endpoints
    clock: Callable[[], datetime]
    log_writer: LogWriter
    announce: Callable[[str], None]
    bus: BusAccess | None = None
    manager: ServiceManager = field(default_factory=ServiceManager)
