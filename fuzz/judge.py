"""Whether bytes that the server has written are answers as the specifications want them.

Written from the specifications (RFC 9112, RFC 6455, JSON-RPC 2.0), not with the server's own code.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from fuzz.world import Finding

STATUSES: Final = frozenset(
    {100, 101, 200, 202, 204, 400, 403, 404, 405, 406, 408, 413, 415, 417, 426, 429, 431, 503, 505}
)
MAX_OUT_BYTES: Final = 4 * 1024 * 1024

_HEAD: Final = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z' -]+\r\n((?:[a-z0-9-]+: [^\r\n]*\r\n)*)\r\n")
_UNTOLD: Final = re.compile(
    rb"(?<=\r\n)(?:date|mcp-session-id|x-request-id): [^\r\n]*\r\n|session_id=[\w.~-]+|^id: .*$", re.MULTILINE
)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSAL: Final = re.compile(
    rb"HTTP/1\.1 (?:400|413|417|431|505) [^\r]*\r\ncontent-type: text/plain[^\r]*\r\nconnection: close\r\n.*",
    re.DOTALL,
)
REFUSED: Final = b"(refused)"


def comparable(out: bytes) -> bytes:
    """The output without what may differ between two runs: dates, random ids, the optional 100, and which of
    several broken rules is named when the connection ends."""
    return _REFUSAL.sub(REFUSED, _UNTOLD.sub(b"", out.replace(_CONTINUE, b"")))


def http(out: bytes, sent: bytes, *, is_open: bool) -> bytes:
    """Judge a connection's output; what follows a switch of protocols.

    Args:
        out: everything the server wrote.
        sent: everything it was sent, for the one thing that an answer depends on: the method HEAD.
        is_open: whether the last answer may still go on.

    Raises:
        Finding: it is no sequence of answers.
    """
    position, closed = 0, False
    if len(out) > MAX_OUT_BYTES:
        raise Finding(f"{len(out)} bytes of output")
    while position < len(out):
        head = _HEAD.match(out, position)
        if head is None:
            raise Finding(f"no answer begins with {out[position : position + 60]!r}")
        if closed:
            raise Finding("an answer follows one that closes the connection")
        status, fields = int(head[1]), _fields(head[2])
        if status not in STATUSES:
            raise Finding(f"status {status}")
        position = head.end()
        if status == 101:
            return out[position:]
        closed = fields.get(b"connection") == b"close"
        position = _body(out, position, status, fields, b"HEAD" in sent, is_open=is_open)
    return b""


def _fields(block: bytes) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for line in block.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        if name in fields:
            raise Finding(f"the field {name!r} is written twice")
        fields[name] = value
    return fields


def _body(
    out: bytes, start: int, status: int, fields: dict[bytes, bytes], may_be_head: bool, *, is_open: bool
) -> int:
    """Judge the body; where it ends."""
    if status in (100, 204):
        return start
    if fields.get(b"transfer-encoding") == b"chunked":
        body, end, complete = _chunks(out, start)
        if not complete and not is_open:
            raise Finding("a chunked body has no end")
    elif b"content-length" in fields:
        length = int(fields[b"content-length"])
        body, end = out[start : start + length], start + length
        if length and may_be_head and (not body or body.startswith(b"HTTP/1.1 ")):
            return start  # the answer to HEAD
        if len(body) != length:
            raise Finding(f"a body of {length} bytes has {len(body)}")
    else:
        body, end = out[start:], len(out)  # until the connection ends
    kind = fields.get(b"content-type", b"")
    if kind == b"application/json":
        messages(body)
    elif kind == b"text/event-stream":
        _events(body)
    return end


def _chunks(out: bytes, position: int) -> tuple[bytes, int, bool]:
    body = b""
    while position < len(out):
        line, _, _ = out[position:].partition(b"\r\n")
        if not re.fullmatch(rb"[0-9a-f]+", line):
            raise Finding(f"no chunk begins with {line[:20]!r}")
        size = int(line, 16)
        position += len(line) + 2
        if out[position + size : position + size + 2] != b"\r\n":
            raise Finding("a chunk has no end")
        body += out[position : position + size]
        position += size + 2
        if not size:
            return body, position, True
    return body, position, False


def _events(body: bytes) -> None:
    for block in body.split(b"\n\n"):
        lines = [line for line in block.split(b"\n") if line and not line.startswith(b":")]
        fields = dict(line.split(b": ", 1) if b": " in line else (line, b"") for line in lines)
        if fields.get(b"event") == b"message" and fields.get(b"data"):
            messages(fields[b"data"])


def messages(body: bytes) -> None:
    """Judge one message, or an array of them.

    Raises:
        Finding: it is no JSON, or no message.
    """
    try:
        value = json.loads(body)
    except ValueError as fault:
        raise Finding(f"the answer is no JSON: {fault}") from None
    for each in value if isinstance(value, list) else [value]:
        _message(each)


def _message(value: Any) -> None:
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise Finding(f"no JSON-RPC message: {str(value)[:80]}")
    kinds = {"result", "error", "method"} & value.keys()
    if len(kinds) != 1:
        raise Finding(f"a message is one of result, error and method, not {sorted(kinds)}")
    if "method" in value:
        return
    if not isinstance(value.get("id"), str | int | None) or isinstance(value.get("id"), bool):
        raise Finding(f"the id of an answer is {value.get('id')!r}")
    error = value.get("error")
    if error is not None and not (type(error.get("code")) is int and isinstance(error.get("message"), str)):
        raise Finding(f"no error object: {error}")


def frames(out: bytes) -> int:
    """Judge what a WebSocket server wrote; the code it closed with, 0 when it has not.

    Raises:
        Finding: it breaks RFC 6455, or a text frame is no message.
    """
    position, code, parts = 0, 0, b""
    while position < len(out):
        if code:
            raise Finding("bytes follow the close frame")
        first, second = out[position], out[position + 1]
        length, position = second & 0x7F, position + 2
        if second & 0x80 or first & 0x70:
            raise Finding("a server neither masks nor uses reserved bits")
        if length >= 126:
            wide = 2 if length == 126 else 8
            length, position = int.from_bytes(out[position : position + wide]), position + wide
        payload, position = out[position : position + length], position + length
        if len(payload) != length:
            raise Finding("a frame is cut off")
        opcode = first & 0x0F
        if opcode in (0x0, 0x1):
            parts += payload
            if first & 0x80:
                messages(parts)
                parts = b""
        elif opcode == 0x8:
            code = int.from_bytes(payload[:2]) if payload else 1005
        elif opcode not in (0x9, 0xA) or length > 125 or not first & 0x80:
            raise Finding(f"opcode {opcode} with {length} bytes")
    return code


def lines(out: bytes) -> None:
    """Judge what a server of lines wrote.

    Raises:
        Finding: it is not one message on each line.
    """
    if out and not out.endswith(b"\n"):
        raise Finding("the last line has no end")
    for line in out.split(b"\n")[:-1]:
        messages(line)
