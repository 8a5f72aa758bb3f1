"""The servers that are compared over TCP and WebSocket, and the goals of the comparison."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from benchmarks.http.targets import Goal


class Framing(Enum):
    """How messages are told apart on the connection."""

    LINES = "lines"
    WEBSOCKET = "websocket"


@dataclass(frozen=True)
class ChannelTarget:
    """One server under load; the words of ``command`` are those of ``benchmarks.http.targets.Target``."""

    name: str
    command: str
    framing: Framing


_BARE: Final = "{python} -m benchmarks.channels.bare "
_ERLMCP: Final = (
    "{bin}/erlmcp serve benchmarks.http.guests:sdk_server --http 127.0.0.1:%s --tcp 127.0.0.1:%s"
    " --admin 127.0.0.1:{port2} --control {folder}/control.sock --config {config}"
)

BARE_LINES: Final = "bare JSON lines"
BARE_WEBSOCKET: Final = "bare JSON WebSocket"
OURS_TCP: Final = "erlmcp, TCP"
OURS_WEBSOCKET: Final = "erlmcp, WebSocket"

TARGETS: Final = (
    ChannelTarget(BARE_LINES, _BARE + "lines {port}", Framing.LINES),
    ChannelTarget(OURS_TCP, _ERLMCP % ("{port3}", "{port}"), Framing.LINES),
    ChannelTarget(BARE_WEBSOCKET, _BARE + "websocket {port}", Framing.WEBSOCKET),
    ChannelTarget(OURS_WEBSOCKET, _ERLMCP % ("{port}", "{port3}"), Framing.WEBSOCKET),
)
GOALS: Final = (
    Goal(OURS_TCP, BARE_LINES, 0.6, 0.6),
    Goal(OURS_WEBSOCKET, BARE_WEBSOCKET, 0.6, 0.6),
)
