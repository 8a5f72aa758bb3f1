"""Which client goes over which transport in which era, and what it does not do there, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from round_scenario import HANDSHAKE, MODERN

GUESTS = ("round_sdk", "round_fastmcp")

NO_LISTEN = {
    "tools-changed": "FastMCP's client has no subscriptions/listen",
    "watch": "FastMCP's client has no subscriptions/listen",
}
ONE_COMMAND = {
    "progress": "the inspector's command prints no progress",
    "come-back": "the inspector's command prints no progress",
    "cancel": "the inspector's command has no word for it",
    "log": "the inspector's command sets a level, prints no messages, and is over",
    "tools-changed": "the inspector's command listens to nothing",
    "watch": "the inspector's command listens to nothing",
    "complete": "the inspector's command has no word for it",
    "complete-template": "the inspector's command has no word for it",
    "ping": "the inspector's command has no word for it",
    "call-unknown-tool": "the inspector looks the name up first and does not call",
    "call-asks-for-person": "nobody is at the inspector's command to be asked",
    "call-asks-for-model": "nobody is at the inspector's command to be asked",
    "call-asks-for-roots": "nobody is at the inspector's command to be asked",
}


@dataclass(frozen=True)
class Lane:
    """One client over one transport in one era."""

    client: str
    transport: str
    era: str
    lacks: dict[str, str] = field(default_factory=dict)
    guests: tuple[str, ...] = GUESTS

    @property
    def name(self) -> str:
        """For the names of tests."""
        return f"{self.client}-{self.transport}-{self.era}"


PYTHON = [
    Lane("sdk", "http", HANDSHAKE),
    Lane("sdk", "http", MODERN),
    Lane("sdk", "sse", HANDSHAKE),
    Lane("sdk", "stdio", HANDSHAKE),
    Lane("sdk", "stdio", MODERN),
    Lane("fastmcp", "http", HANDSHAKE),
    Lane("fastmcp", "http", MODERN, NO_LISTEN),
    Lane("fastmcp", "sse", HANDSHAKE),
    Lane("fastmcp", "stdio", HANDSHAKE),
    Lane("fastmcp", "stdio", MODERN, NO_LISTEN),
]
"""The Python SDK's client has no WebSocket any more, nor has FastMCP's."""

NODE = [
    Lane("sdk1", "http", HANDSHAKE),
    Lane("sdk1", "sse", HANDSHAKE),
    Lane("sdk1", "websocket", HANDSHAKE),
    Lane("sdk1", "stdio", HANDSHAKE),
    Lane("sdk2", "http", HANDSHAKE),
    Lane("sdk2", "http", MODERN),
    Lane("sdk2", "sse", HANDSHAKE),
    Lane("sdk2", "stdio", HANDSHAKE),
    Lane("sdk2", "stdio", MODERN),
]
"""The first SDK knows the handshake era only; the second has dropped WebSocket."""

INSPECTOR = [
    Lane("inspector", "http", HANDSHAKE, ONE_COMMAND),
    Lane("inspector", "http", MODERN, ONE_COMMAND),
    Lane("inspector", "sse", HANDSHAKE, ONE_COMMAND, GUESTS[:1]),
    Lane("inspector", "stdio", HANDSHAKE, ONE_COMMAND, GUESTS[:1]),
    Lane("inspector", "stdio", MODERN, ONE_COMMAND, GUESTS[:1]),
]
"""Each act is a command with a process of its own, hence one guest where the transport is the point."""
