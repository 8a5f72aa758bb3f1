"""One HTTP request as the endpoint sees it: complete, bounded, with headers already cleaned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools

from erlmcp.protocol.grants import Grant
from erlmcp.protocol.headers import Headers

if TYPE_CHECKING:
    from erlmcp.transports.http.known_heads import KnownHead


class HttpRequest:
    """Method, target, headers and body of one request; ``peer`` is the client's address, empty if unknown.

    ``known`` is set when the same head was read before: see ``erlmcp.transports.http.known_heads``. ``grant``
    is set when the access token was found good: see ``erlmcp.transports.admission``.
    """

    __slots__ = (
        "body",
        "grant",
        "headers",
        "is_1_1",
        "keep_alive",
        "known",
        "local",
        "method",
        "peer",
        "target",
    )

    def __init__(self, peer: str, local: tuple[str, int] | None, *, keep_alive: bool = True) -> None:
        self.peer = peer
        self.local = local
        self.method = b""
        self.target = b""
        self.headers = Headers()
        self.body = b""
        self.is_1_1 = True
        self.keep_alive = keep_alive
        self.known: KnownHead | None = None
        self.grant: Grant | None = None

    @property
    def path(self) -> bytes:
        """The path of the target without its query; also for a target in absolute form."""
        if self.target.startswith(b"/"):
            return self.target.partition(b"?")[0]
        try:
            return httptools.parse_url(self.target).path or b""
        except httptools.HttpParserInvalidURLError:
            return b""

    @property
    def principal(self) -> str:
        """Whose access token it has; empty if it has none that was found good."""
        return "" if self.grant is None else self.grant.principal

    @property
    def query(self) -> bytes:
        """What follows the first question mark of the target."""
        return self.target.partition(b"?")[2]
