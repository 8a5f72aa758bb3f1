"""The limit: uvloop and msgspec that read messages from a connection, decode them and answer them.

``python -m benchmarks.channels.bare lines|websocket PORT``. No rule of MCP: nothing is validated, counted,
limited or logged. WebSocket is framed by the ``websockets`` package without I/O, as erlmcp frames it. Answers
to messages that came together are written together.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import msgspec
import uvloop
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

HOST: Final = "127.0.0.1"
_BACKLOG: Final = 2048
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def answer(raw: bytes) -> bytes:
    """The answer to one call."""
    message = _decode(raw)
    arguments = message["params"]["arguments"]
    total = arguments["a"] + arguments["b"]
    result = {"content": [{"type": "text", "text": str(total)}], "structuredContent": {"result": total}}
    return _encode({"jsonrpc": "2.0", "id": message["id"], "result": result})


class Lines(asyncio.Protocol):
    """One message on each line."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: Any = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer every line that is complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            self._transport.write(b"".join([answer(line) + b"\n" for line in lines]))


class WebSocket(asyncio.Protocol):
    """One message in each text frame."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: Any = transport
        self._protocol = ServerProtocol()

    def data_received(self, data: bytes) -> None:
        """Accept the upgrade, then answer every frame."""
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Request):
                protocol.send_response(protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                protocol.send_text(answer(event.data))
        self._transport.write(b"".join(protocol.data_to_send()))


async def _serve(framing: str, port: int) -> None:
    kind = {"lines": Lines, "websocket": WebSocket}[framing]
    server = await asyncio.get_running_loop().create_server(kind, HOST, port, backlog=_BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
