"""Whether a request may come from where it says: the Host and Origin fields, against DNS rebinding and
pages of strangers. It is no authentication; a program that is no browser can write any of both.
"""

from __future__ import annotations

import logging
from typing import Final

from erlmcp.config.schema import McpSettings
from erlmcp.config.urls import is_loopback
from erlmcp.protocol.headers import Headers

logger = logging.getLogger(__name__)

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_KNOWN_MAX: Final = 1024
_PREFLIGHT: Final = (
    b"access-control-allow-methods: GET, POST, DELETE, OPTIONS\r\n"
    b"access-control-max-age: 600\r\nallow: GET, POST, DELETE, OPTIONS\r\n"
)
_ALLOWED_FIELDS: Final = (
    "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id,"
    " Last-Event-ID, traceparent"
)
_EXPOSED_FIELDS: Final = b"access-control-expose-headers: Mcp-Session-Id, WWW-Authenticate, Retry-After\r\n"


class Guard:
    """Decides by Host and Origin. Answers that repeat are remembered, so it costs two look-ups."""

    def __init__(self, settings: McpSettings) -> None:
        self._allowed_hosts = {host.lower() for host in settings.allowed_hosts}
        self._allowed_origins = {origin.lower() for origin in settings.allowed_origins}
        self._good_hosts: set[bytes] = set()
        self._told: set[bytes] = set()

    def refusal(self, headers: Headers, local: tuple[str, int] | None) -> tuple[int, str] | None:
        """HTTP status and reason when the request is refused; None when it may go on.

        Args:
            headers: of the request.
            local: our own address on this connection; pages of this machine may only use loopback.
        """
        host = headers.raw(b"host")
        if host not in self._good_hosts and (refused := self._judge_host(headers, host)) is not None:
            return refused
        origin = headers.raw(b"origin")
        if origin is not None and not self._is_good_origin(origin, local):
            self._tell(b"origin " + origin, "mcp.allowed_origins")
            return 403, "this Origin is not allowed"
        return None

    def _judge_host(self, headers: Headers, host: bytes | None) -> tuple[int, str] | None:
        if host is None or b"host" in headers.repeated:
            return 400, "exactly one Host field is needed"
        text = host.decode("latin-1").lower()
        if text not in self._allowed_hosts:
            name = _without_port(text)
            if name not in self._allowed_hosts and name not in _LOOPBACK_NAMES:
                self._tell(b"host " + host, "mcp.allowed_hosts")
                return 403, "this Host is not allowed"
        if len(self._good_hosts) < _KNOWN_MAX:
            self._good_hosts.add(host)
        return None

    def _is_good_origin(self, origin: bytes, local: tuple[str, int] | None) -> bool:
        text = origin.decode("latin-1").lower()
        if text in self._allowed_origins:
            return True
        scheme, _, rest = text.partition("://")
        if scheme not in ("http", "https") or _without_port(rest) not in _LOOPBACK_NAMES:
            return False
        return local is not None and is_loopback(local[0])

    def _tell(self, what: bytes, setting: str) -> None:
        """Once for each value: it is the failure that operators meet most, and they need the setting."""
        if what not in self._told and len(self._told) < _KNOWN_MAX:
            self._told.add(what)
            logger.warning("refused %r; if it is yours, add it to %s", what.decode("latin-1"), setting)


def cors_fields(headers: Headers) -> bytes:
    """What a browser must read to let its page see the answer; empty without an (allowed) Origin."""
    origin = headers.raw(b"origin")
    if origin is None:
        return b""
    return b"access-control-allow-origin: " + origin + b"\r\nvary: Origin\r\n" + _EXPOSED_FIELDS


def preflight_fields(headers: Headers) -> bytes:
    """The answer to a browser that asks before it sends."""
    asked = headers.raw(b"access-control-request-headers") or b""
    extra = b"".join(b", " + name for name in _param_fields(asked))
    return _PREFLIGHT + b"access-control-allow-headers: " + _ALLOWED_FIELDS.encode("ascii") + extra + b"\r\n"


def _param_fields(asked: bytes) -> list[bytes]:
    names = (name.strip() for name in asked.lower().split(b","))
    return [name for name in names if name.startswith(b"mcp-param-") and name.replace(b"-", b"").isalnum()]


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
