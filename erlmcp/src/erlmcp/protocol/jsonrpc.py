"""JSON-RPC messages to and from bytes, without I/O.

Decoding is for hostile input: depth is bounded, and whatever is not exactly one message is a ``Malformed``
that keeps the request's id where it can be read. Ids are kept as they came: 1 is not "1".
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any, Final

import msgspec
from mcp_types import INVALID_REQUEST, PARSE_ERROR

from erlmcp.protocol.faults import Fault

RequestId = int | str

MAX_BATCH: Final = 100
"""Messages in one batch."""

NO_BATCH: Final = Fault(
    INVALID_REQUEST, "Invalid request: batches are served in sessions of 2025-03-26 only, send one message"
)

MAX_SAFE_ID: Final = 2**63 - 1
"""Largest integer id that is kept; JSON writers of other languages lose digits long before it."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKET = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEP: Final = {0x5B: 1, 0x7B: 1, 0x5D: -1, 0x7D: -1}
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True):
    """A call that is owed an answer."""

    id: RequestId
    method: str
    params: dict[str, Any] | None

    @property
    def tool(self) -> str:
        """The name of the tool that it calls; empty when it calls none."""
        if self.method != "tools/call" or self.params is None:
            return ""
        name = self.params.get("name")
        return name if isinstance(name, str) else ""


class Notification(msgspec.Struct, frozen=True):
    """A call that is owed none."""

    method: str
    params: dict[str, Any] | None


class Response(msgspec.Struct, frozen=True):
    """The answer to a request that the server had sent; exactly one of the two members is set."""

    id: RequestId
    result: dict[str, Any] | None
    error: dict[str, Any] | None


Message = Request | Notification | Response


class Malformed(Exception):  # noqa: N818 - it names the message, and becomes an answer, not a crash
    """The bytes are not one message. ``id`` is the request's where it could be read, else None."""

    def __init__(self, fault: Fault, request_id: RequestId | None = None) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.id = request_id


def decode(body: bytes, *, max_depth: int) -> Message:
    """One message out of a body.

    Raises:
        Malformed: -32700 when it is not JSON or nests deeper than ``max_depth``; -32600 when it is JSON
            but not one request, notification or response.
    """
    value = _value(body, max_depth)
    if isinstance(value, list):
        raise Malformed(NO_BATCH)
    return _message_of(value)


def is_batch(body: bytes) -> bool:
    """Whether a body looks like an array."""
    return body[:1] == b"[" or (body[:1].isspace() and body.lstrip()[:1] == b"[")


def decode_batch(body: bytes, *, max_depth: int) -> list[Message | Malformed]:
    """The messages in an array, 1 to ``MAX_BATCH``; one that is none is in its place as what is wrong.

    Raises:
        Malformed: -32700 when it is not JSON or nests too deep; -32600 when there are none or too many.
    """
    value = _value(body, max_depth)
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_BATCH:
        raise Malformed(Fault(INVALID_REQUEST, f"Invalid request: a batch has 1 to {MAX_BATCH} messages"))
    messages: list[Message | Malformed] = []
    for each in value:
        try:
            messages.append(_message_of(each))
        except Malformed as malformed:
            messages.append(malformed)
    return messages


def _value(body: bytes, max_depth: int) -> Any:
    if _too_deep(body, max_depth):
        raise Malformed(Fault(PARSE_ERROR, f"Parse error: nested deeper than {max_depth} levels"))
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Malformed(Fault(PARSE_ERROR, "Parse error")) from fault


def _message_of(value: Any) -> Message:
    if not isinstance(value, dict):
        raise Malformed(Fault(INVALID_REQUEST, "Invalid request: expected one JSON object"))
    return _message(value)


def _message(value: dict[str, Any]) -> Message:
    raw_id = value.get("id")
    request_id = readable_id(raw_id)
    if value.get("jsonrpc") != "2.0":
        raise _invalid('jsonrpc must be "2.0"', request_id)
    method = value.get("method")
    if method is None:
        return _response(value, request_id)
    if not isinstance(method, str):
        raise _invalid("method must be a string", request_id)
    params = value.get("params")
    if params is not None and not isinstance(params, dict):
        raise _invalid("params must be an object", request_id)
    if "id" not in value:
        return Notification(method, params)
    if request_id is None:
        raise _invalid("id must be a string or an integer", None)
    return Request(request_id, method, params)


def _response(value: dict[str, Any], request_id: RequestId | None) -> Response:
    result, error = value.get("result"), value.get("error")
    if request_id is None or ("result" in value) == ("error" in value):
        raise _invalid("expected a request, a notification or a response", request_id)
    if "result" in value and isinstance(result, dict):
        return Response(request_id, result, None)
    if isinstance(error, dict) and type(error.get("code")) is int and isinstance(error.get("message"), str):
        return Response(request_id, None, error)
    raise _invalid("a response has a result object or an error object", request_id)


def readable_id(raw: Any) -> RequestId | None:
    """The id, if it is one that a request can have: a string or an integer that is kept."""
    if isinstance(raw, str) or (type(raw) is int and abs(raw) <= MAX_SAFE_ID):
        return raw
    return None


def _invalid(what: str, request_id: RequestId | None) -> Malformed:
    return Malformed(Fault(INVALID_REQUEST, f"Invalid request: {what}"), request_id)


def _too_deep(body: bytes, max_depth: int) -> bool:
    """Whether brackets outside strings nest deeper than allowed. Most bodies are cleared by counting."""
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return False
    brackets = _STRING.sub(b"", body).translate(None, _NOT_BRACKET)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > max_depth


def encode_result(request_id: RequestId, result: dict[str, Any]) -> bytes:
    """A successful answer."""
    return _encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def encode_fault(request_id: RequestId | None, fault: Fault) -> bytes:
    """An error answer; the id is null when it could not be read."""
    error: dict[str, Any] = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        error["data"] = fault.data
    return _encode({"jsonrpc": "2.0", "id": request_id, "error": error})


def encode_request(request_id: RequestId, method: str, params: dict[str, Any] | None) -> bytes:
    """A request of the server to its client, handshake era only."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id, "method": method}
    if params:
        message["params"] = params
    return _encode(message)


def encode_notification(method: str, params: dict[str, Any] | None) -> bytes:
    """A notification."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    return _encode(message)
