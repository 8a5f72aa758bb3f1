"""The servers that are compared, and the goals of the comparison. To add one, add a line to ``TARGETS``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Mode(Enum):
    """Which bytes are sent, and what comes before them."""

    MODERN = "modern"
    SESSION = "session"
    BARE = "bare"


@dataclass(frozen=True)
class Target:
    """One server under load.

    ``command`` is split at blanks; ``{python}`` and ``{bin}`` are this interpreter and its folder,
    ``{port}``, ``{port2}`` and ``{port3}`` free ports, ``{folder}`` an empty folder, ``{config}`` erlmcp's
    configuration. The requests of a ``traced`` target have a ``traceparent`` of their own each, as of
    instrumented clients.
    """

    name: str
    command: str
    mode: Mode
    tool: str = "add"
    traced: bool = False


_PEER: Final = "{python} -m benchmarks.http.peers "
_ERLMCP: Final = (
    "{bin}/erlmcp serve benchmarks.http.guests:%s --http 127.0.0.1:{port} --admin 127.0.0.1:{port2}"
    " --control {folder}/control.sock --config {config}"
)
_OURS: Final = _ERLMCP % "sdk_server"

SDK_BEST: Final = "SDK, JSON answers"
SDK_SYNC: Final = "SDK, JSON answers, sync tool"
SDK_CONTEXT: Final = "SDK, JSON answers, tool with context"
SDK_LOWLEVEL: Final = "SDK, JSON answers, low-level server"
SDK_DEFAULT: Final = "SDK, default mode"
FASTMCP_DEFAULT: Final = "FastMCP, default mode"
BARE: Final = "bare JSON server"
OURS: Final = "erlmcp, modern"
OURS_SESSION: Final = "erlmcp, session"
OURS_TRACED: Final = "erlmcp, modern, traced clients"
OURS_SYNC: Final = "erlmcp, modern, sync tool"
OURS_CONTEXT: Final = "erlmcp, modern, tool with context"
OURS_LOWLEVEL: Final = "erlmcp, modern, low-level server"
OURS_TWO: Final = "erlmcp, modern, 2 workers on one core"
OURS_MANY: Final = "erlmcp, modern, 500 tools more"
OURS_FASTMCP: Final = "erlmcp, modern, FastMCP guest"

TARGETS: Final = (
    Target(BARE, "{python} -m benchmarks.http.bare {port}", Mode.BARE),
    Target(OURS, _OURS, Mode.MODERN),
    Target(OURS_TRACED, _OURS, Mode.MODERN, traced=True),
    Target(OURS_SESSION, _OURS, Mode.SESSION),
    Target(OURS_SYNC, _OURS, Mode.MODERN, tool="add_sync"),
    Target(OURS_CONTEXT, _OURS, Mode.MODERN, tool="add_with_context"),
    Target(OURS_LOWLEVEL, _ERLMCP % "lowlevel_server", Mode.MODERN),
    Target(OURS_TWO, _OURS + " --workers 2", Mode.MODERN),
    Target(OURS_MANY, _ERLMCP % "sdk_server_with_many_tools", Mode.MODERN),
    Target(OURS_FASTMCP, _ERLMCP % "fastmcp_server", Mode.MODERN),
    Target(SDK_BEST, _PEER + "sdk json {port}", Mode.MODERN),
    Target(SDK_SYNC, _PEER + "sdk json {port}", Mode.MODERN, tool="add_sync"),
    Target(SDK_CONTEXT, _PEER + "sdk json {port}", Mode.MODERN, tool="add_with_context"),
    Target(SDK_LOWLEVEL, _PEER + "lowlevel json {port}", Mode.MODERN),
    Target(SDK_DEFAULT, _PEER + "sdk default {port}", Mode.SESSION),
    Target(FASTMCP_DEFAULT, _PEER + "fastmcp default {port}", Mode.SESSION),
)


@dataclass(frozen=True)
class Goal:
    """How many times the work of ``peer`` one core of ``ours`` is to do: the aim, and the least."""

    ours: str
    peer: str
    aim: float
    least: float


GOALS: Final = (
    Goal(OURS, SDK_BEST, 15.0, 12.0),
    Goal(OURS, FASTMCP_DEFAULT, 60.0, 45.0),
    Goal(OURS, BARE, 0.6, 0.45),
    Goal(OURS_SYNC, SDK_SYNC, 5.0, 5.0),
    Goal(OURS_CONTEXT, SDK_CONTEXT, 3.0, 2.0),
    Goal(OURS_LOWLEVEL, SDK_LOWLEVEL, 2.0, 2.0),
    Goal(OURS_TRACED, SDK_BEST, 10.0, 8.0),
    Goal(OURS_TWO, OURS, 0.85, 0.85),
    Goal(OURS_MANY, OURS, 0.97, 0.95),
)
TAIL_RATIO: Final = 3.0
"""At 70 % of the maximum rate the 99th percentile of latency is at most this many times the median."""
