"""Task ids that any worker can read: sealed facts, like the ids of sessions.

An id names the worker that runs the task, so that every worker with the key ring knows whom to ask, and can
tell a task whose worker has died from one that never was. It is sealed to the principal of its creator: for
anybody else it is no id at all.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

import msgspec

from erlmcp.sessions.sealed import KeyRing
from erlmcp.sessions.sealing import Seals
from erlmcp.sessions.tasks.owners import Owner

MAX_ID_CHARS: Final = 512
"""Longest id that is read; ours have about 200 characters and travel in a header."""

_NAME_BYTES: Final = 16


class TaskFacts(msgspec.Struct, frozen=True, array_like=True):
    """What never changes of a task. ``name`` is random, 128 bits; times are milliseconds."""

    name: str
    owner: Owner
    created_ms: int
    ttl_ms: int
    poll_ms: int


class UnknownTaskError(Exception):
    """An id that no key of the ring opens for this principal."""


class TaskIds:
    """Seals facts into an id and opens it again; the first key seals, all open."""

    def __init__(self, keys: KeyRing) -> None:
        self._seals = Seals((), TaskFacts, max_chars=MAX_ID_CHARS)
        keys.follow("tasks", self._seals.take)

    def seal(self, facts: TaskFacts, principal: str) -> str:
        """The id of a task: URL-safe ASCII."""
        return self._seals.seal(facts, _bound_to(principal))

    def unseal(self, text: str, principal: str) -> TaskFacts:
        """The facts inside an id.

        Raises:
            UnknownTaskError: not an id of ours, or not one of this principal.
        """
        facts = self._seals.open(text, _bound_to(principal))
        if facts is None:
            raise UnknownTaskError
        return facts


def new_name() -> str:
    """A random name for a task, 128 bits."""
    return os.urandom(_NAME_BYTES).hex()


def _bound_to(principal: str) -> bytes:
    return b"erlmcp task v1 " + hashlib.sha256(principal.encode("utf-8", "surrogatepass")).digest()
