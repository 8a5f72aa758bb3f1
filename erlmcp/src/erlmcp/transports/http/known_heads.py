"""Heads of requests that were read before, byte for byte.

A client writes the same head again and again. What a head means depends on its bytes alone, so one that was
parsed, found within all limits and accepted need not be parsed again: a look-up gives the same request. It
knows only requests that came in one piece between two others, with a length and nothing that changes framing.
The endpoint may keep on a head what it has found out about it, as long as that, too, follows from its bytes.

Instrumented clients write a trace or a request id of its own into each head. These fields mean nothing to the
endpoint, so a head is known without them, and they are handed on beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from erlmcp.config.schema import HttpSettings
from erlmcp.protocol.headers import Headers
from erlmcp.transports.http.request import HttpRequest

if TYPE_CHECKING:
    from erlmcp.transports.http.exchange import Exchange

MAX_HEADS: Final = 2_048
MAX_HEAD_BYTES: Final = 4_096
"""Together they bound what a worker keeps; when all places are taken it begins anew."""

_END: Final = b"\r\n\r\n"
Passing = Sequence[tuple[bytes, bytes]]
"""Fields that differ from request to request and are only passed on: names and values."""

_PASSING: Final = re.compile(
    rb"\r\n(traceparent|tracestate|baggage|b3|x-b3-(?:traceid|spanid|parentspanid|sampled|flags)|sentry-trace"
    rb"|x-request-id|x-correlation-id|x-amzn-trace-id|x-cloud-trace-context|x-datadog-[a-z-]+|uber-trace-id)"
    rb":[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)[ \t]*(?=\r\n[^ \t])",
    re.IGNORECASE,
)
"""Only such whose value every parser reads in the same way; any other stays with the parser."""
_MAX_PASSING: Final = 8

_UNUSUAL: Final = (b"transfer-encoding", b"expect", b"upgrade", b"trailer")


class KnownHead:
    """One head, and what the endpoint has found out about it: ``judged``.

    ``at_once`` is set by the endpoint when requests with this head may be answered while they are read:
    called with the wire, the head, a body and passing fields it answers and says True, or does nothing and
    says False.
    """

    __slots__ = ("at_once", "client", "judged", "length", "request")

    def __init__(self, request: HttpRequest, length: int) -> None:
        self.request = request
        self.length = length
        self.judged: Any = None
        self.client: str | None = None
        """Whom a trusted proxy speaks for with this head; None while nobody has looked."""
        self.at_once: Callable[[AtOnceWire, KnownHead, bytes, Passing], bool] | None = None

    def request_with(
        self, body: bytes, peer: str, local: tuple[str, int] | None, passing: Passing = ()
    ) -> HttpRequest:
        """A request with this head, and with fields that only this one has."""
        like = self.request
        request = HttpRequest.__new__(HttpRequest)
        request.peer = peer
        request.local = local
        request.method = like.method
        request.target = like.target
        request.headers = like.headers.with_more(passing) if passing else like.headers
        request.is_1_1 = like.is_1_1
        request.keep_alive = like.keep_alive
        request.body = body
        request.known = self
        request.grant = None
        return request


class AtOnceWire(Protocol):
    """What it takes to answer a request that nobody has made an exchange for."""

    def client_of(self, known: KnownHead) -> str:
        """The address of whoever asks: that of the connection, or one that a trusted proxy tells."""

    def answer_json(self, payload: bytes, fields: bytes = b"") -> None:
        """Answer 200 with JSON, and perhaps more header fields; the connection stays open."""

    def exchange_for(self, known: KnownHead, body: bytes, passing: Passing) -> Exchange:
        """Take the ordinary way after all."""


class KnownHeads:
    """The heads that one server has read. All requests of a head share its headers; nobody changes them."""

    def __init__(self, limits: HttpSettings) -> None:
        self._limits = limits
        self._heads: dict[bytes, KnownHead] = {}

    def __len__(self) -> int:
        return len(self._heads)

    def find(self, data: bytes) -> tuple[KnownHead, bytes, Passing] | None:
        """Head, body and passing fields, if the data is exactly one request whose head is known."""
        start = data.find(_END) + len(_END)
        head = data[:start]
        known, passing = self._heads.get(head), _NONE
        if known is None:
            head, passing = _without_passing(head)
            if not passing or start > self._limits.max_header_bytes:
                return None
            known = self._heads.get(head)
            if known is None or not self._goes_with(known.request.headers, passing):
                return None
        if len(data) - start != known.length:
            return None
        return known, data[start:], passing

    def _goes_with(self, headers: Headers, passing: Passing) -> bool:
        """Whether the parser would have taken these fields, too, and each of them once. Of headers with
        repeated fields nobody knows any more how many they were."""
        return (
            not headers.repeated
            and len(headers) + len(passing) <= self._limits.max_headers
            and all(headers.raw(name.lower()) is None for name, _ in passing)
        )

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
        head, passing = _without_passing(bytes(data[:start]))
        if any(name.lower() in headers.repeated for name, _ in passing):
            return  # another line of the same name is none of the plain ones
        known = self._heads.get(head)  # one with passing fields may be known without them
        if known is None:
            if len(self._heads) >= MAX_HEADS:
                self._heads.clear()
            like = HttpRequest("", None)
            like.method, like.target = request.method, request.target
            like.headers = headers.without(name.lower() for name, _ in passing) if passing else headers
            like.is_1_1, like.keep_alive = request.is_1_1, request.keep_alive
            known = self._heads[head] = KnownHead(like, len(request.body))
        request.known = known


_NONE: Final[Passing] = ()


def _without_passing(head: bytes) -> tuple[bytes, Passing]:
    """A head without its passing fields, and these; the head as it is if there are too many, or one twice."""
    found: Passing = _PASSING.findall(head)
    if not found or len(found) > _MAX_PASSING or len({name.lower() for name, _ in found}) < len(found):
        return head, _NONE
    return _PASSING.sub(b"", head), found
