"""The first line of a TCP connection when access tokens are asked for: ``{"authorization": "Bearer TOKEN"}``.

Lines have no header fields, and MCP says nothing of TCP, so the token comes before the first message, once
for the connection. Nothing is answered when it is good; requests may follow at once. Reading lines is
``erlmcp.transports.duplex.line_wire``; judging tokens is ``erlmcp.edge.auth``.
"""

from __future__ import annotations

from typing import Final

import msgspec

from erlmcp.edge.auth.bearer import MAX_TOKEN_CHARS, token_of
from erlmcp.protocol.faults import UNAUTHORIZED, Fault
from erlmcp.protocol.grants import INVALID_REQUEST, Denial

MAX_LINE_BYTES: Final = MAX_TOKEN_CHARS + 256
"""A first line that has grown beyond this without an end holds no token that would be taken."""

MALFORMED: Final = Denial(
    401, INVALID_REQUEST, 'the first line must be {"authorization": "Bearer TOKEN"} and nothing else'
)


class _Greeting(msgspec.Struct, forbid_unknown_fields=True):
    authorization: str


_decode = msgspec.json.Decoder(_Greeting).decode


def token_in_line(line: bytes) -> str | Denial:
    """The token of a first line, or why there is none."""
    if len(line) > MAX_LINE_BYTES:
        return MALFORMED
    try:
        value = _decode(line).authorization
    except (msgspec.DecodeError, UnicodeDecodeError):
        return MALFORMED
    return token_of(value.encode("utf-8", "replace"))


def fault_of(denial: Denial, metadata_url: str) -> Fault:
    """What the client is told before the connection is closed.

    Args:
        metadata_url: where it reads who issues tokens; empty where nobody does.
    """
    data = {"error": denial.error} if denial.error else {}
    if metadata_url:
        data["resource_metadata"] = metadata_url
    if denial.scopes:
        data["scope"] = " ".join(denial.scopes)
    return Fault(UNAUTHORIZED, f"Unauthorized: {denial.description}", data or None)
