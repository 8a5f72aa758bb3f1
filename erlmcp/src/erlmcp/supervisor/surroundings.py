"""What all generations of one server share; made by the master. Data only."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from erlmcp.edge.tls import Identity
from erlmcp.supervisor.key_change import WorkerKeys
from erlmcp.supervisor.messages import Relay
from erlmcp.supervisor.process import WorkerProcess


@dataclass(frozen=True)
class Surroundings:
    """What every generation shares.

    Attributes:
        public: the public listening sockets by name.
        keys: the session keys of all workers.
        identity: what the public listeners prove themselves with now; None without TLS.
        clock: the time, UTC.
        on_log: takes log lines of a worker, as JSON.
        on_output: takes lines that a guest printed, with the generation's id.
        on_relay: passes an event of a worker on to all others.
        on_gone: tells all others that a worker has ended.
        host: names this server among those that share a bus; the names of its workers begin with it.
    """

    public: Mapping[str, socket.socket]
    keys: WorkerKeys
    identity: Callable[[], Identity | None]
    clock: Callable[[], datetime]
    on_log: Callable[[list[str]], None]
    on_output: Callable[[str, list[str]], None]
    on_relay: Callable[[WorkerProcess, Relay], None]
    on_gone: Callable[[WorkerProcess], None]
    host: str
