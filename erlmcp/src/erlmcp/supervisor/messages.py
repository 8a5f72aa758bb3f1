"""What the master and a worker say to each other over their channel. Data only; no I/O.

Both ends may be different releases of erlmcp (a generation may have its own interpreter), so the first
message names the version of this vocabulary and the worker refuses one that it does not speak.
"""

from __future__ import annotations

import signal
from typing import Any, Literal

import msgspec

from erlmcp.edge.tls import Identity

CHANNEL_VERSION = 4

STUCK_STATUS = 86
"""How a worker exits that ends itself because its event loop stands still."""

WHERE_SIGNAL = signal.SIGUSR2
"""On this a worker writes where each of its threads is, also when no Python code of it can run."""

Act = Literal[
    "listen", "stop-listening", "drain", "resume", "report", "log-level", "identity", "fault", "stop"
]


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The first message to a worker: what to run and with what."""

    channel_version: int
    generation: str
    worker: str
    """Its name on the bus; the others are told when the worker of this name has ended."""
    target: str
    settings: dict[str, Any]
    keys: list[bytes]
    listeners: dict[str, int]
    """Name of the listener to the number of the inherited descriptor."""
    args: list[str] = []
    """What the guest finds in ``sys.argv`` after its own name."""
    identity: Identity | None = None
    """What the public listeners prove themselves with; without it they speak no TLS."""
    factory: bool = False
    """What the target names is to be called and returns the server."""


class Command(msgspec.Struct, frozen=True, tag="command"):
    """An order that is confirmed by `Done` with the same number."""

    number: int
    act: Act
    argument: str = ""
    """The name of the listener, the log level, or the name and the figures of a fault as JSON."""
    deadline_s: float = 0.0
    """For ``stop``: how long running requests may finish, seconds."""
    identity: Identity | None = None
    """For ``identity``: what new connections are to see."""


class Keys(msgspec.Struct, frozen=True, tag="keys"):
    """Other session keys from now on; confirmed by `Done` with the same number."""

    number: int
    keys: list[bytes]


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The guest has started and the private listener accepts."""

    name: str
    version: str
    kind: str


class StartFailed(msgspec.Struct, frozen=True, tag="start-failed"):
    """The guest did not start; the worker exits after this."""

    error_id: str
    message: str
    hint: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A command was carried out, or why not."""

    number: int
    fault: str = ""


class Report(msgspec.Struct, frozen=True, tag="report"):
    """The counts of a worker: each second, on demand, and when it exits."""

    in_flight: int
    connections: int
    streams: int
    resident_memory_bytes: int
    cpu_s: float
    metrics: dict[str, Any]
    loop_lag_s: float = 0.0
    threads_busy: int = 0
    """Handlers that run in threads."""
    threads_lost: int = 0
    """Those whose calls are over."""
    sessions: int = 0
    """That are in use, at whatever worker."""
    subscriptions: int = 0
    """Theirs."""
    channel_subscriptions: int = 0
    """Of the channels of this worker alone."""
    is_worn: bool = False
    """It has lost so many that another worker should take its place."""


class Relay(msgspec.Struct, frozen=True, tag="relay"):
    """An event for all other workers."""

    event: msgspec.Raw
    mergeable: bool
    """Two equal ones that wait mean the same as one."""
    kept: bool = False
    """The master remembers it for workers that start later, and so looks inside this one."""


Message = Start | Command | Keys | Ready | StartFailed | Done | Report | Relay

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """The bytes of one message, without framing."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """One message.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError: the bytes are no message.
    """
    return _decoder.decode(data)
