"""The limit: httptools and uvloop that read a request, decode it and answer it as JSON, with no rule of MCP.

Headers are kept as any server keeps them, but nothing is validated, counted, limited or logged. It says what
Python can do on this machine, so that a server that does all of that can be measured against it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import httptools
import msgspec
import uvloop

HOST: Final = "127.0.0.1"
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_BACKLOG: Final = 2048
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Connection(asyncio.Protocol):
    """Answers each request of one connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: Any = transport
        self._parser: Any = httptools.HttpRequestParser(self)
        self._body = b""
        self._headers: dict[bytes, bytes] = {}

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Forget the request before."""
        self._body = b""
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field."""
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer."""
        message = _decode(self._body)
        arguments = message["params"]["arguments"]
        total = arguments["a"] + arguments["b"]
        result = {"content": [{"type": "text", "text": str(total)}], "structuredContent": {"result": total}}
        answer = _encode({"jsonrpc": "2.0", "id": message["id"], "result": result})
        self._transport.write(_HEAD % len(answer) + answer)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, HOST, port, backlog=_BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
