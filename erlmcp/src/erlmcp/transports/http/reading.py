"""Bytes to requests: llhttp with a bound on every size.

It reads and nothing else: it knows neither sockets nor clocks. ``Reader.feed`` takes bytes and tells its
owner, by the callbacks of ``Owner``, when a head begins and ends and when a request is complete. Whoever
feeds it may stop after any slice, which is how pipelining is bounded.
"""

from __future__ import annotations

from typing import Final, Protocol

import httptools

from erlmcp.config.schema import HttpSettings
from erlmcp.transports.http.request import HttpRequest

_FRAMING_SLICE: Final = 2048
"""Bytes fed at once while a head may be in them: bounds what is parsed beyond any limit."""


class Refused(Exception):  # noqa: N818 - it becomes a response, not a crash
    """The bytes are not a request that can be served; the connection ends after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason

    @property
    def said(self) -> bytes:
        """The reason as the client hears it."""
        return self.reason.encode("utf-8", "replace") + b"\n"


class Upgrade(Refused):
    """A request that asks for another protocol: what follows ``taken`` bytes is not HTTP any more."""

    def __init__(self, taken: int) -> None:
        super().__init__(0, "upgrade")
        self.taken = taken


class Owner(Protocol):
    """Who is told what has been read."""

    def head_began(self) -> None: ...
    def head_ended(self, *, expects_continue: bool) -> None: ...
    def request_ended(self, request: HttpRequest) -> None: ...


class Reader:
    """The reading side of one connection."""

    __slots__ = (
        "_body",
        "_body_left",
        "_body_size",
        "_fields",
        "_head_fed",
        "_head_size",
        "_in_head",
        "_limits",
        "_owner",
        "_parser",
        "_peer",
        "_refusal",
        "_request",
        "_sockname",
        "at_rest",
    )

    def __init__(
        self, owner: Owner, limits: HttpSettings, peer: str, sockname: tuple[str, int] | None
    ) -> None:
        self._owner = owner
        self._limits = limits
        self._peer = peer
        self._sockname = sockname
        self._parser = httptools.HttpRequestParser(self)
        self._request: HttpRequest  # from the first byte of the first on, like what is counted of it
        self._body: list[bytes]
        self._body_size = self._body_left = self._fields = self._head_size = self._head_fed = 0
        self._in_head = True
        self.at_rest = True
        """Whether no byte of a request has been read that is not complete."""
        self._refusal: Refused | None = None

    def feed(self, data: memoryview) -> int:
        """Parse the beginning of ``data``; how many bytes were taken, at least one.

        Raises:
            Upgrade: the request that was last complete asks to leave HTTP; nothing more can be read.
            Refused: with the status that the client is owed.
        """
        size = len(data) if len(data) <= _FRAMING_SLICE else max(_FRAMING_SLICE, self._body_left)
        piece = data[:size]
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            raise Upgrade(upgrade.args[0]) from None
        except httptools.HttpParserError as fault:
            raise self._refusal or Refused(400, f"malformed request: {fault}") from None
        if self._in_head:
            self._check_unfinished_head(len(piece))
        return len(piece)

    def end(self) -> None:
        """Nothing more is fed. The parser is let go: it and this refer to each other."""
        del self._parser

    # -- callbacks of the parser; an exception in one of them ends the parsing --

    def on_message_begin(self) -> None:
        """A first byte of a request."""
        self.at_rest = False
        self._request = HttpRequest(self._peer, self._sockname)
        self._body = []
        self._body_size = self._body_left = self._fields = self._head_size = self._head_fed = 0
        self._in_head = True
        self._owner.head_began()

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._request.target += url
        self._head_size += len(url)
        self._check_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field line, also of a trailer, which is counted and dropped."""
        self._fields += 1
        self._head_size += len(name) + len(value) + len(b": \r\n")
        self._check_head()
        if self._in_head:
            self._request.headers.add(name, value)

    def on_headers_complete(self) -> None:
        """The empty line after the head."""
        request = self._request
        request.method = self._parser.get_method()
        self._head_size += len(request.method) + len(b"  HTTP/1.1\r\n\r\n")
        self._check_head()
        self._in_head = False
        self._head_size = 0
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._refuse(505, f"HTTP version {version}; 1.0 and 1.1 are served")
        request.is_1_1 = version == "1.1"
        request.keep_alive = self._parser.should_keep_alive()
        self._check_length(request)
        self._check_upgrade(request)
        self._owner.head_ended(expects_continue=self._expects_continue(request))

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_size += len(body)
        self._body_left = max(0, self._body_left - len(body))
        if self._body_size > self._limits.max_body_bytes:
            self._refuse(413, f"the body is larger than {self._limits.max_body_bytes} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        request, body = self._request, self._body
        request.body = body[0] if len(body) == 1 else b"".join(body)
        self._body = []
        self.at_rest = True
        self._owner.request_ended(request)

    # -- limits --

    def _check_head(self) -> None:
        if self._head_size > self._limits.max_header_bytes:
            self._refuse(431, f"the head is larger than {self._limits.max_header_bytes} bytes")
        if self._fields > self._limits.max_headers:
            self._refuse(431, f"more than {self._limits.max_headers} header fields")

    def _check_unfinished_head(self, fed: int) -> None:
        """The parser keeps an unfinished field to itself: bound what it holds by what it was given."""
        self._head_fed += fed
        if self._head_fed > self._limits.max_header_bytes + _FRAMING_SLICE:
            raise Refused(431, f"the head is larger than {self._limits.max_header_bytes} bytes")

    def _check_length(self, request: HttpRequest) -> None:
        length = request.headers.raw(b"content-length")
        if length is None:
            return
        self._body_left = int(length)
        if self._body_left > self._limits.max_body_bytes:
            self._refuse(413, f"the body is larger than {self._limits.max_body_bytes} bytes")

    def _check_upgrade(self, request: HttpRequest) -> None:
        has_body = self._body_left or request.headers.raw(b"transfer-encoding")
        if has_body and self._parser.should_upgrade():
            self._refuse(400, "an upgrade is not offered to a request with a body")

    def _expects_continue(self, request: HttpRequest) -> bool:
        expectation = request.headers.raw(b"expect")
        if expectation is None or not request.is_1_1:
            return False
        if expectation.lower() != b"100-continue":
            self._refuse(417, "the only expectation served is 100-continue")
        return True

    def _refuse(self, status: int, reason: str) -> None:
        self._refusal = Refused(status, reason)
        raise self._refusal
