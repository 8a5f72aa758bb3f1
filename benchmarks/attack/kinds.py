"""What hostile clients do. Each is one connection that gives the server something to hold.

None of them floods with good requests: against those stand rates, which are measured in ``benchmarks.http``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from benchmarks.http.messages import ENVELOPE, MODERN_VERSION, message_for
from benchmarks.http.targets import Mode, Target
from benchmarks.memory.wire import post_bytes

_CALL: Final = message_for(Target("", "", Mode.MODERN))
_LISTEN_FIELDS: Final = {"mcp-protocol-version": MODERN_VERSION, "mcp-method": "subscriptions/listen"}
_LISTEN: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "subscriptions/listen",
    "params": {"_meta": ENVELOPE, "notifications": {"toolsListChanged": True}},
}
_UPGRADE: Final = (
    "GET /ws HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    "sec-websocket-protocol: mcp\r\n\r\n"
)


@dataclass(frozen=True)
class Kind:
    """One way to be a nuisance.

    Attributes:
        share: of the crowd.
        opening: what is sent at once.
        drip: what is sent every two seconds after it, if anything.
        lines: over TCP with a message on each line, instead of HTTP.
        reads: whether it reads what the server says.
    """

    name: str
    share: float
    opening: bytes = b""
    drip: bytes = b""
    lines: bool = False
    reads: bool = True


def kinds(port: int) -> list[Kind]:
    """All of them, against a server whose HTTP port this is."""
    head = f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
    call = post_bytes(port, _CALL.body_with(1).encode(), _CALL.fields)
    listen = post_bytes(port, json.dumps(_LISTEN).encode(), _LISTEN_FIELDS)
    return [
        Kind("never sends anything", 0.25),
        Kind("drips a head", 0.20, f"{head}x-a: ".encode(), b"a"),
        Kind("drips a body", 0.10, call.partition(b"\r\n\r\n")[0] + b"\r\n\r\n{", b" "),
        Kind("calls once, then holds", 0.15, call),
        Kind("subscribes and never reads", 0.10, listen, reads=False),
        Kind("opens a WebSocket and is silent", 0.05, _UPGRADE.format(port=port).encode()),
        Kind("opens a line and is silent", 0.05, lines=True),
        Kind("drips a line", 0.10, b'{"jsonrpc":', b" ", lines=True),
    ]


FLOODER: Final = Kind("sends what is no request, and comes again", 0.0, b"\x00\xff no request\r\n\r\n")
