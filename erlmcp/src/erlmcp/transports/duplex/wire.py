"""What a channel needs of the transport that carries it; each transport is one implementation."""

from __future__ import annotations

from typing import Protocol


class Wire(Protocol):
    """One connection to one client, both ways, message by message."""

    def send(self, message: bytes) -> None:
        """Send one encoded message now, after all that were sent before.

        A client that leaves too much unread is cut with the cause; a wire that is closed drops the message.
        """

    def answer(self, message: bytes) -> None:
        """As ``send``, without the bound: the caller has waited for ``relief``, so answers cannot pile up."""

    @property
    def is_behind(self) -> bool:
        """Whether an answer must wait for ``relief``; true where there is no telling."""

    async def relief(self) -> None:
        """Wait while the client has much unread; returns when it has read, or is gone."""

    def hold(self, *, reading: bool) -> None:
        """Read no more messages from the client, or go on reading."""

    def leave(self) -> None:
        """Close in good order: what is sent is flushed, and the client is told that the server goes away."""

    def refuse(self) -> None:
        """Close after what is sent is flushed: what the client sends cannot be served."""
