"""A batch of JSON-RPC messages in one POST, which only revision 2025-03-26 has.

Each message is served as if it had come alone; what it would have been answered becomes one member of the
array, or one event when a handler has made the answer a stream. No client can come back to such a stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from erlmcp.protocol import sse
from erlmcp.telemetry.correlation import Correlation
from erlmcp.transports.http import heads
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.http.request import HttpRequest


class Batch:
    """The answers to the messages of one POST.

    Args:
        exchange: the POST.
        count: how many messages it holds; ``part`` must be called as often.
    """

    def __init__(self, exchange: Exchange, count: int) -> None:
        self._exchange = exchange
        self._unanswered = count
        self._answers: list[bytes] = []
        self._parts: list[Part] = []
        exchange.on_gone = self._client_gone

    def part(self) -> Part:
        """The place where the next message is answered."""
        part = Part(self, self._exchange.request)
        self._parts.append(part)
        return part

    @property
    def correlation(self) -> Correlation:
        """How the POST is known."""
        return self._exchange.correlation

    @property
    def sent(self) -> bytes:
        """The body of the POST."""
        return self._exchange.sent

    @property
    def told_correlation(self) -> Correlation | None:
        """The same, if anybody knows of it."""
        return self._exchange.told_correlation

    def start_stream(self) -> None:
        """What is answered from now on, and has been so far, goes out as events."""
        if not self._exchange.streaming:
            self._exchange.start_stream()
            for answer in self._answers:
                self._exchange.send(sse.event(answer))

    def send(self, data: bytes) -> None:
        """Send some whole events."""
        self._exchange.send(data)

    async def relief(self) -> None:
        """Wait until the client has read enough."""
        await self._exchange.relief()

    def answered(self, answer: bytes) -> None:
        """One message is done; a notification has an empty answer."""
        self._unanswered -= 1
        if answer and self._exchange.streaming:
            self._exchange.send(sse.event(answer))
        elif answer:
            self._answers.append(answer)
        if self._unanswered:
            return
        if self._exchange.streaming:
            self._exchange.end()
        elif self._answers:
            self._exchange.respond(200, b"[" + b",".join(self._answers) + b"]", heads.JSON)
        else:
            self._exchange.respond(202)

    def _client_gone(self) -> None:
        for part in self._parts:
            part.client_gone()


class Part:
    """Where one message of a batch is answered: an exchange to those who serve it."""

    can_resume: ClassVar[bool] = False

    def __init__(self, batch: Batch, request: HttpRequest) -> None:
        self.request = request
        self.extra = b""
        self.gone = False
        self.is_logged = False
        self.on_gone: Callable[[], None] | None = None
        self._batch = batch
        self._streaming = False
        self._done = False

    @property
    def correlation(self) -> Correlation:
        """That of the batch."""
        return self._batch.correlation

    @property
    def sent(self) -> bytes:
        """The body with all messages of the batch."""
        return self._batch.sent

    @property
    def told_correlation(self) -> Correlation | None:
        """That of the batch."""
        return self._batch.told_correlation

    def tell_correlation(self) -> None:
        """A batch has one answer for good and bad: its own head tells nothing of a single message."""

    @property
    def streaming(self) -> bool:
        """Whether this message has made the answer a stream."""
        return self._streaming

    def respond(self, status: int, body: bytes = b"", fields: bytes = b"") -> None:  # noqa: ARG002 - a batch has one status
        """Answer with a whole message, or with nothing."""
        if not self._done:
            self._done = True
            self._batch.answered(body)

    def start_stream(self, fields: bytes = heads.EVENT_STREAM) -> None:  # noqa: ARG002 - as of every batch
        """Make the answer of the batch a stream."""
        if not self._done:
            self._streaming = True
            self._batch.start_stream()

    def send(self, data: bytes) -> None:
        """Send some whole events."""
        if not self._done:
            self._batch.send(data)

    async def relief(self) -> None:
        """Wait until the client has read enough."""
        await self._batch.relief()

    def end(self, data: bytes = b"") -> None:
        """This message is answered, after a last piece if one is given."""
        if self._done:
            return
        if data:
            self._batch.send(data)
        self._done = True
        self._batch.answered(b"")

    def client_gone(self) -> None:
        """The connection is lost."""
        self.gone = True
        if self.on_gone is not None:
            told, self.on_gone = self.on_gone, None
            told()
