"""Valid input of every kind, the corpus that mutation starts from, and how its parts are put together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

VERSION: Final = "2026-07-28"
META: Final = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
}
CLIENT: Final = {"name": "fuzz", "version": "1"}
SESSION: Final = b"@SESSION@"
"""Stands for the id of a live session; filled in just before the bytes are sent."""

Fields = Sequence[tuple[bytes, bytes]]


def _request(method: str, params: dict[str, Any] | None = None, request_id: Any = 1) -> dict[str, Any]:
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id, "method": method}
    return message if params is None else {**message, "params": params}


def _call(
    tool: str, arguments: dict[str, Any], meta: dict[str, Any] | None, request_id: Any
) -> dict[str, Any]:
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    return _request("tools/call", params if meta is None else {**params, "_meta": meta}, request_id)


INITIALIZE: Final = _request(
    "initialize",
    {
        "protocolVersion": "2025-11-25",
        "capabilities": {"roots": {}, "experimental": {"x": {"n": 1}}},
        "clientInfo": CLIENT,
    },
)
MODERN: Final = [
    _request("server/discover", {"_meta": META}),
    _request("tools/list", {"_meta": META, "cursor": ""}, "a"),
    _call("add", {"a": 1, "b": 2}, META, 7),
    _call("echo", {"text": "tea"}, {**META, "progressToken": "p"}, 8),
    _call("echo", {"text": "\u00e9\u2028\U0001f375"}, META, 2**53),
    _request("resources/read", {"uri": "note://one", "_meta": META}, 9),
    _request("prompts/get", {"name": "greet", "arguments": {"name": "Ada"}, "_meta": META}, -1),
    _request("subscriptions/listen", {"notifications": {"toolsListChanged": True}, "_meta": META}, "listen"),
    _request("no/such", {"_meta": META}, 0),
]
HANDSHAKE: Final = [
    INITIALIZE,
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    _request("ping", None, 3),
    _request("tools/list", {}, 4),
    _call("add", {"a": 1, "b": 2}, None, 5),
    _call("echo", {"text": "tea"}, {"progressToken": 1}, 6),
    _request("resources/subscribe", {"uri": "note://one"}, 10),
    _request("resources/unsubscribe", {"uri": "note://one"}, 11),
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 6}},
    {"jsonrpc": "2.0", "id": 1, "result": {"roots": [], "n": 1}},
    {"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "no"}},
]


def encoded(message: Any) -> bytes:
    """One message as clients write it."""
    return json.dumps(message, separators=(",", ":")).encode()


MESSAGES: Final = [encoded(message) for message in (*MODERN, *HANDSHAKE)]
BATCH: Final = encoded(HANDSHAKE[2:5])


def http_request(fields: Fields, body: bytes, *, method: bytes = b"POST", target: bytes = b"/mcp") -> bytes:
    """The bytes of one request; the fields are written as they are."""
    head = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, target, head, body)


def post_fields(body: bytes, version: bytes, more: Fields = ()) -> list[tuple[bytes, bytes]]:
    """The fields of a POST of one message."""
    return [
        (b"Host", b"127.0.0.1"),
        (b"Content-Type", b"application/json"),
        (b"Accept", b"application/json, text/event-stream"),
        (b"MCP-Protocol-Version", version),
        (b"Content-Length", b"%d" % len(body)),
        *more,
    ]


def chunked(body: bytes, sizes: Sequence[int]) -> bytes:
    """A body in chunks of these sizes, and the rest."""
    parts, position = [], 0
    for size in (*sizes, len(body)):
        part = body[position : position + size]
        position += size
        if part:
            parts.append(b"%x\r\n%b\r\n" % (len(part), part))
    return b"".join(parts) + b"0\r\n\r\n"


def _post(message: dict[str, Any]) -> bytes:
    body = encoded(message)
    modern = "_meta" in message.get("params", {}) and message in MODERN
    more: list[tuple[bytes, bytes]] = []
    if modern:
        params = message["params"]
        more.append((b"Mcp-Method", message["method"].encode()))
        if name := params.get("name", params.get("uri")):
            more.append((b"Mcp-Name", name.encode()))
    elif message is not INITIALIZE:
        more.append((b"Mcp-Session-Id", SESSION))
    return http_request(post_fields(body, VERSION.encode() if modern else b"2025-11-25", more), body)


HOST: Final = (b"Host", b"127.0.0.1")
STREAM: Final = (b"Accept", b"text/event-stream")
UPGRADE: Final = http_request(
    [
        HOST,
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Protocol", b"mcp"),
    ],
    b"",
    method=b"GET",
    target=b"/ws",
)


def frame(opcode: int, payload: bytes, *, final: bool = True, mask: bytes = b"\1\2\3\4") -> bytes:
    """A frame of a client, with the shortest length that fits; an empty mask leaves it unmasked."""
    first = bytes([opcode | (0x80 if final else 0)])
    flag = 0x80 if mask else 0
    if len(payload) < 126:
        length = bytes([flag | len(payload)])
    elif len(payload) < 65_536:
        length = bytes([flag | 126]) + len(payload).to_bytes(2)
    else:
        length = bytes([flag | 127]) + len(payload).to_bytes(8)
    if mask:
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return first + length + mask + payload


HTTP: Final = [
    *(_post(message) for message in (*MODERN, *HANDSHAKE)),
    http_request(
        [*post_fields(BATCH, b"2025-03-26"), (b"Mcp-Session-Id", SESSION)],
        BATCH,
    ),
    http_request(
        [field for field in post_fields(MESSAGES[2], VERSION.encode()) if field[0] != b"Content-Length"]
        + [(b"Transfer-Encoding", b"chunked"), (b"Mcp-Method", b"tools/call"), (b"Mcp-Name", b"add")],
        chunked(MESSAGES[2], [3, 50]),
    ),
    http_request([*post_fields(MESSAGES[0], VERSION.encode()), (b"Expect", b"100-continue")], MESSAGES[0]),
    http_request([HOST, STREAM, (b"Mcp-Session-Id", SESSION)], b"", method=b"GET"),
    http_request(
        [HOST, STREAM, (b"Mcp-Session-Id", SESSION), (b"Last-Event-ID", b"1-1")], b"", method=b"GET"
    ),
    http_request([HOST, STREAM], b"", method=b"GET", target=b"/sse"),
    http_request(post_fields(MESSAGES[9], b"2025-11-25"), MESSAGES[9], target=b"/messages?session_id=nobody"),
    http_request([HOST, (b"Origin", b"http://127.0.0.1")], b"", method=b"OPTIONS"),
    http_request([HOST], b"", method=b"HEAD"),
    http_request([HOST], b"", method=b"DELETE"),
    http_request([HOST], b"", method=b"GET", target=b"http://127.0.0.1/nowhere?a=b"),
    UPGRADE + frame(1, MESSAGES[9]),
]
LINES: Final = [
    *(message + b"\n" for message in MESSAGES),
    b"".join(message + b"\n" for message in MESSAGES[:7]),
    b"".join(message + b"\r\n" for message in MESSAGES[9:]),
    b"POST /mcp HTTP/1.1\r\n" + b"".join(message + b"\r\n" for message in MESSAGES[:3]),
]
FRAMES: Final = [
    *(frame(1, message) for message in MESSAGES),
    b"".join(frame(1, message) for message in MESSAGES[9:14]),
    frame(1, MESSAGES[2][:20], final=False) + frame(9, b"?") + frame(0, MESSAGES[2][20:]),
    frame(9, b"ping") + frame(10, b"pong"),
    frame(8, (1000).to_bytes(2) + b"bye"),
    frame(2, MESSAGES[0]),
]
