"""Which era a message on the HTTP endpoint belongs to, decided by the evidence in its body.

Two eras: *modern* (2026-07-28, every request describes itself) and *handshake* (2025-11-25 and older, an
``initialize`` begins a session). The body wins over headers, so that a modern request with a wrong header
is told about its header instead of being taken for a client of the past.
"""

from __future__ import annotations

from typing import Final

from mcp_types import PROTOCOL_VERSION_META_KEY
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from erlmcp.protocol.jsonrpc import Message, Request, Response

MODERN: Final = "modern"
HANDSHAKE: Final = "handshake"

_HANDSHAKE_VERSIONS: Final = frozenset(HANDSHAKE_PROTOCOL_VERSIONS)
_MODERN_VERSIONS: Final = frozenset(MODERN_PROTOCOL_VERSIONS)


def era_of(message: Message, *, version_header: str | None, has_session: bool) -> str:
    """``MODERN`` or ``HANDSHAKE``; the first row that fits decides.

    | evidence                                             | era       |
    |------------------------------------------------------|-----------|
    | ``initialize`` that is modern in body and header     | modern    |
    | any other ``initialize``                             | handshake |
    | request with a protocol version in ``params._meta``  | modern    |
    | version header is a handshake revision               | handshake |
    | version header is anything else                      | modern    |
    | a session id, or nothing at all                      | handshake |

    A modern ``initialize`` is a method that does not exist, and is told so. A session id beside a version
    header that is unknown is a modern request: modern requests ignore it. A response can only belong to a
    session, so with a session id it is of the handshake era.
    """
    if isinstance(message, Request):
        modern = carries_envelope(message)
        if message.method == "initialize":
            return MODERN if modern and is_modern_version(version_header) else HANDSHAKE
        if modern:
            return MODERN
    if isinstance(message, Response) and has_session:
        return HANDSHAKE
    if version_header is None or version_header in _HANDSHAKE_VERSIONS:
        return HANDSHAKE
    return MODERN


def carries_envelope(request: Request) -> bool:
    """Whether the request says its own protocol version; no older client writes that key."""
    meta = request.params.get("_meta") if request.params else None
    return isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta


def is_modern_version(version: str | None) -> bool:
    """Whether a version header names a revision without a handshake that is served."""
    return version in _MODERN_VERSIONS
