"""What workers tell each other: small typed events, delivered to whoever lives now.

Not a queue: nothing is kept, nothing is replayed, an event is lost for a worker that starts later. The
supervisor brings a bus that spans all workers of all generations; ``LocalBus`` is the one for one process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

logger = logging.getLogger(__name__)

TOOLS = "tools"
PROMPTS = "prompts"
RESOURCES = "resources"
RESOURCE_UPDATED = "resource-updated"
SESSION_ENDED = "session-ended"
SESSIONS_ENDED = "sessions-ended"
SESSION_USED = "session-used"
SESSIONS_USED = "sessions-used"
SESSION_MESSAGE = "session-message"
SESSION_STREAM = "session-stream"
SESSION_PART = "session-part"
STREAM_WANTED = "stream-wanted"
STREAM_PIECE = "stream-piece"
STREAM_MOVED = "stream-moved"
STREAM_LEFT = "stream-left"
REPLY = "reply"
CANCEL = "cancel"
NEWCOMER = "newcomer"
SSE_MESSAGE = "sse-message"
SSE_TAKEN = "sse-taken"
SUBSCRIBED = "subscribed"
UNSUBSCRIBED = "unsubscribed"
SUBSCRIPTIONS = "subscriptions"
LOG_LEVELS = "log-levels"
TASKS_CHANGED = "tasks-changed"
TASK_ASKED = "task-asked"
TASK_TOLD = "task-told"
SESSION_QUESTION = "session-question"
QUESTION_TAKEN = "question-taken"
WORKER_GONE = "worker-gone"
BUS_GAP = "bus-gap"
BANNED = "banned"
RATES_TAKEN = "rates-taken"

CHANGES = frozenset({TOOLS, PROMPTS, RESOURCES, RESOURCE_UPDATED})
"""Two equal ones that wait mean the same as one."""

KINDS = frozenset(
    {
        TOOLS,
        PROMPTS,
        RESOURCES,
        RESOURCE_UPDATED,
        SESSION_ENDED,
        SESSIONS_ENDED,
        SESSION_USED,
        SESSIONS_USED,
        SESSION_MESSAGE,
        SESSION_STREAM,
        SESSION_PART,
        STREAM_WANTED,
        STREAM_PIECE,
        STREAM_MOVED,
        STREAM_LEFT,
        REPLY,
        CANCEL,
        NEWCOMER,
        SSE_MESSAGE,
        SSE_TAKEN,
        SUBSCRIBED,
        UNSUBSCRIBED,
        SUBSCRIPTIONS,
        TASKS_CHANGED,
        TASK_ASKED,
        TASK_TOLD,
        SESSION_QUESTION,
        QUESTION_TAKEN,
        WORKER_GONE,
        BUS_GAP,
        BANNED,
        RATES_TAKEN,
        LOG_LEVELS,
    }
)
"""Everything that is said."""

KEPT = frozenset(
    {
        NEWCOMER,
        SESSION_ENDED,
        SESSIONS_ENDED,
        SESSION_USED,
        SESSIONS_USED,
        SUBSCRIBED,
        UNSUBSCRIBED,
        SUBSCRIPTIONS,
        LOG_LEVELS,
        BANNED,
    }
)
"""What the master of several workers remembers for those that start later."""


class BusEvent(msgspec.Struct, frozen=True):
    """One thing that happened.

    ``kind`` decides what ``key`` and ``data`` are: ``tools``, ``prompts`` and ``resources`` need neither;
    ``resource-updated`` has the URI as key; the ``session-*`` kinds have the session's id, and
    ``session-message`` a JSON-RPC message as data; ``reply`` and ``cancel`` have the key of a waiting
    request; ``stream-wanted`` asks for a stream of a session to which a client has come back, and the other
    ``stream-*`` kinds have the key that the asker chose for it; ``newcomer`` asks the others to repeat which
    sessions have ended and which are in use, which they do by ``sessions-ended`` and ``sessions-used``;
    ``subscribed`` and ``unsubscribed`` have a session's id and a list of URIs as data, and what is subscribed
    is repeated for a newcomer by ``subscriptions``, which look the same, as are ``log-levels``, which have
    levels by session's id as data; ``sse-message`` has the id of an HTTP+SSE stream and a POSTed message
    behind a nonce, which its owner repeats as the key of ``sse-taken``; ``tasks-changed`` has tasks and their
    owners as data, and is repeated for a newcomer; ``task-asked`` has an owner as key, and what it shall do
    to a task as data, which it answers by ``task-told`` with the nonce of the question as key;
    ``session-question`` has a session's id as key and, as data, a request for its client with the key of the
    one who waits for the answer, which ``question-taken`` repeats with the name of the worker that has passed
    it on; ``worker-gone`` has the beginning of the names of workers that have ended; ``bus-gap`` says that
    events of other hosts may have been missed; ``banned`` has an address from which nobody is let in, and for
    how many seconds as data, and is repeated for a newcomer; ``rates-taken`` has a worker as key, and what it
    has let pass as data.
    """

    kind: str
    key: str = ""
    data: bytes = b""


class Bus(Protocol):
    """Publish to everybody, this worker included."""

    def publish(self, event: BusEvent) -> None:
        """Never blocks; delivered to local listeners at once and to all other workers soon."""
        ...

    def subscribe(self, listener: Callable[[BusEvent], None]) -> Callable[[], None]:
        """Hear every event until the returned function is called."""
        ...


class LocalBus:
    """A bus of one process. A listener that raises is logged and does not stop the others."""

    def __init__(self) -> None:
        self._listeners: dict[object, Callable[[BusEvent], None]] = {}

    def publish(self, event: BusEvent) -> None:
        """Deliver to every listener before returning."""
        for listener in list(self._listeners.values()):
            try:
                listener(event)
            except Exception:
                logger.exception("a bus listener raised on %s", event.kind)

    def subscribe(self, listener: Callable[[BusEvent], None]) -> Callable[[], None]:
        """Hear every event; the returned function may be called more than once."""
        token = object()
        self._listeners[token] = listener

        def unsubscribe() -> None:
            self._listeners.pop(token, None)

        return unsubscribe
