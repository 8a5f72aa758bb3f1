"""The id by which an answer and the lines of a log are known to belong to one request.

A client, or a proxy before us, may send one (``x-request-id``) and a trace (``traceparent``, W3C Trace
Context); else an id is made when somebody first wants to tell it: with an error, or with a line that is
logged meanwhile. It knows no transport and writes no log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from itertools import count
from typing import Any, Final, Protocol

FIELD: Final = b"x-request-id"
MAX_CHARACTERS: Final = 128

_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,%d}" % (MAX_CHARACTERS - 1))
_TRACE: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_NO_TRACE: Final = b"0" * 32
_NUMBERS: Final = count(1)


class Correlation:
    """Of one request.

    Args:
        sent: what the client has called it, if anything; ignored unless it is a short word.
        traceparent: the trace that it belongs to, as it was sent; ignored unless well-formed.
    """

    __slots__ = ("_traceparent", "known_id", "sent")

    def __init__(self, sent: bytes | None = None, traceparent: bytes | None = None) -> None:
        self.known_id = sent.decode("ascii") if sent and _WELL_FORMED.fullmatch(sent) else ""
        """The id if the client has sent one or somebody was told it, else empty."""
        self._traceparent = traceparent
        self.sent: bytes | Mapping[str, Any] | None = None
        """As in ``Correlated``."""

    @classmethod
    def of(cls, fields: Sequence[tuple[bytes, bytes]]) -> Correlation:
        """Of a request with these header fields among others."""
        named = {name.lower(): value for name, value in fields}
        return cls(named.get(FIELD), named.get(b"traceparent"))

    @property
    def correlation(self) -> Correlation:
        """Itself: as ``Correlated``."""
        return self

    @property
    def is_told(self) -> bool:
        """Whether somebody knows the id, or there is a trace: then all lines about the request tell it."""
        return bool(self.known_id or self.trace_id)

    @property
    def request_id(self) -> str:
        """The client's word for the request, or one of ours that no other request of this host has."""
        if not self.known_id:
            self.known_id = f"{_process()}-{next(_NUMBERS):x}"
        return self.known_id

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty when there is no trace."""
        found = _TRACE.fullmatch(self._traceparent) if self._traceparent else None
        return found[1].decode("ascii") if found is not None and found[1] != _NO_TRACE else ""


class Correlated(Protocol):
    """Whatever belongs to one request."""

    @property
    def correlation(self) -> Correlation:
        """How it is known."""

    @property
    def sent(self) -> bytes | Mapping[str, Any] | None:
        """Its message, or the parameters in it: what they hold may have to be taken out of the log."""


CURRENT: Final[ContextVar[Correlated | None]] = ContextVar("erlmcp_current_request", default=None)
"""The request that is being served."""


def _process() -> str:
    """A word that no other process of this host has now, or had lately."""
    global _own_pid, _own_word
    if _own_pid != os.getpid():
        _own_pid, _own_word = os.getpid(), os.urandom(5).hex()
    return _own_word


_own_pid, _own_word = 0, ""
