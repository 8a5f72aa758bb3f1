"""Opens sessions as a client does, uses each once and leaves it: what stays is what an idle one costs."""

from __future__ import annotations

import re
from typing import Final

from benchmarks.http.messages import (
    CHECKED_ID,
    HANDSHAKE_VERSION,
    INITIALIZE,
    INITIALIZED,
    WrongAnswerError,
    is_right,
    message_for,
)
from benchmarks.http.targets import Mode, Target
from benchmarks.memory.wire import Connection

_SESSION: Final = re.compile(rb"\r\nmcp-session-id: *([!-~]+)", re.IGNORECASE)
_CALL: Final = message_for(Target("", "", Mode.SESSION)).body_with(CHECKED_ID).encode()


def open_session(connection: Connection) -> str:
    """Begin a session; its id.

    Raises:
        WrongAnswerError: it was refused.
    """
    head, _ = connection.post(INITIALIZE, {})
    found = _SESSION.search(head)
    if found is None:
        raise WrongAnswerError(f"initialize was answered without a session: {head[:200]!r}")
    session = found[1].decode("ascii")
    connection.post(INITIALIZED, fields_of(session))
    return session


def fields_of(session: str) -> dict[str, str]:
    """The header fields of a request in a session."""
    return {"mcp-protocol-version": HANDSHAKE_VERSION, "mcp-session-id": session}


def leave_sessions(port: int, count: int) -> None:
    """Open sessions one after the other, call a tool in each, and leave them.

    Raises:
        WrongAnswerError: an answer was not right.
    """
    with Connection(port) as connection:
        for _ in range(count):
            session = open_session(connection)
            _, body = connection.post(_CALL, fields_of(session))
            text = body[body.find(b"{") : body.rfind(b"}") + 1]
            if not is_right(text, CHECKED_ID):
                raise WrongAnswerError(f"a call in a new session was answered with {body[:200]!r}")
