"""Heads of requests that were read before, byte for byte.

A client writes the same head again and again. What a head means depends on its bytes alone, so one that was
parsed, found within all limits and accepted need not be parsed again: a look-up gives the same request. It
knows only requests that came in one piece between two others, with a length and nothing that changes framing.
The endpoint may keep on a head what it has found out about it, as long as that, too, follows from its bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from erlmcp.transports.http.request import HttpRequest

if TYPE_CHECKING:
    from erlmcp.transports.http.exchange import Exchange

MAX_HEADS: Final = 2_048
MAX_HEAD_BYTES: Final = 4_096
"""Together they bound what a worker keeps; when all places are taken it begins anew."""

_END: Final = b"\r\n\r\n"
_UNUSUAL: Final = (b"transfer-encoding", b"expect", b"upgrade", b"trailer")


class KnownHead:
    """One head, and what the endpoint has found out about it: ``judged``.

    ``at_once`` is set by the endpoint when requests with this head may be answered while they are read:
    called with the wire, the head and a body it answers and says True, or does nothing and says False.
    """

    __slots__ = ("at_once", "judged", "length", "request")

    def __init__(self, request: HttpRequest, length: int) -> None:
        self.request = request
        self.length = length
        self.judged: Any = None
        self.at_once: Callable[[AtOnceWire, KnownHead, bytes], bool] | None = None

    def request_with(self, body: bytes, peer: str, local: tuple[str, int] | None) -> HttpRequest:
        """A request with this head."""
        like = self.request
        request = HttpRequest.__new__(HttpRequest)
        request.peer = peer
        request.local = local
        request.method = like.method
        request.target = like.target
        request.headers = like.headers
        request.is_1_1 = like.is_1_1
        request.keep_alive = like.keep_alive
        request.body = body
        request.known = self
        return request


class AtOnceWire(Protocol):
    """What it takes to answer a request that nobody has made an exchange for."""

    peer: str

    def answer_json(self, payload: bytes) -> None:
        """Answer 200 with JSON; the connection stays open."""

    def exchange_for(self, known: KnownHead, body: bytes) -> Exchange:
        """Take the ordinary way after all."""


class KnownHeads:
    """The heads that one server has read. All requests of a head share its headers; nobody changes them."""

    def __init__(self) -> None:
        self._heads: dict[bytes, KnownHead] = {}

    def __len__(self) -> int:
        return len(self._heads)

    def find(self, data: bytes) -> tuple[KnownHead, bytes] | None:
        """The head and the body, if the data is exactly one request whose head is known."""
        start = data.find(_END) + len(_END)
        known = self._heads.get(data[:start])
        if known is None or len(data) - start != known.length:
            return None
        return known, data[start:]

    def learn(self, data: bytes, request: HttpRequest) -> None:
        """Remember the head of a request that was just read from exactly this data, if it is a usual one."""
        start = data.find(_END) + len(_END)
        headers = request.headers
        if (
            start > MAX_HEAD_BYTES
            or not request.body
            or len(data) - start != len(request.body)
            or headers.raw(b"content-length") != b"%d" % len(request.body)
            or any(headers.raw(name) is not None for name in _UNUSUAL)
        ):
            return
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        like = HttpRequest("", None)
        like.method, like.target, like.headers = request.method, request.target, headers
        like.is_1_1, like.keep_alive = request.is_1_1, request.keep_alive
        known = self._heads[bytes(data[:start])] = KnownHead(like, len(request.body))
        request.known = known
