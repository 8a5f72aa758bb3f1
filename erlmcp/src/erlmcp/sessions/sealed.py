"""Session ids that carry their session: sealed facts, readable by every worker that has the key ring.

Sealed under a ring of keys (``erlmcp.sessions.sealing``), so keys can be changed without ending a session.
What is live (streams, waiting requests) is not in here; ``erlmcp.sessions.registry`` knows it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from erlmcp.sessions.sealing import Seals

KEY_BYTES = 32
MAX_ID_CHARS = 4096
"""Longest session id; header limits of common proxies start at 8 KiB for all headers together."""

_SID_BYTES = 16
_PURPOSE = b"erlmcp session v1"


class SessionFacts(msgspec.Struct, frozen=True, array_like=True):
    """What a handshake agreed on.

    ``sid`` is random and names the session on the bus; ``created_at`` is in seconds of the epoch;
    ``client`` holds the members ``capabilities`` and ``clientInfo`` of the initialize request.
    """

    sid: str
    created_at: int
    protocol_version: str
    client: dict[str, Any]


class UnknownSessionError(Exception):
    """An id that no key of the ring opens: invented, altered, or sealed by a key since retired."""


class SessionTooLargeError(Exception):
    """The facts do not fit into an id of bounded size."""


class KeyRing:
    """Seals session facts into an id and opens it again; the first key seals, all open.

    Attributes:
        version: grows whenever the keys are replaced; what was opened under an earlier one is to be opened
            again before it counts.

    Raises:
        ValueError: no key, or a key that is not 32 bytes.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.version = 0
        self._keys = _checked(keys)
        self._followers: list[tuple[str, Callable[[tuple[bytes, ...]], None]]] = []
        self._seals = Seals(self._keys, SessionFacts, max_chars=MAX_ID_CHARS)

    def replace(self, keys: Sequence[bytes]) -> None:
        """Seal with the first of other keys from now on, and open with all of them and no others.

        Raises:
            ValueError: as when the ring is made; then nothing has changed.
        """
        keys = _checked(keys)
        if keys == self._keys:
            return
        self._keys = keys
        self._seals.take(keys)
        self.version += 1
        for purpose, take in self._followers:
            take(self.derived(purpose))

    def follow(self, purpose: str, take: Callable[[tuple[bytes, ...]], None]) -> None:
        """Give the keys for another purpose to a function, now and whenever they are replaced."""
        self._followers.append((purpose, take))
        take(self.derived(purpose))

    @staticmethod
    def generate() -> bytes:
        """A new random key."""
        return os.urandom(KEY_BYTES)

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """Keys for another purpose, one for each of ours in the same order; none can be traced back."""
        return tuple(
            HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=f"erlmcp {purpose}".encode()).derive(key)
            for key in self._keys
        )

    def seal(self, facts: SessionFacts, owner: str = "") -> str:
        """The session id: visible ASCII, at most ``MAX_ID_CHARS``.

        Args:
            owner: the principal that may use it; empty where nobody is asked who they are.

        Raises:
            SessionTooLargeError: the client's description is too long, or an integer in it is.
        """
        try:
            text = self._seals.seal(facts, _bound_to(owner))
        except OverflowError:
            raise SessionTooLargeError from None
        if len(text) > MAX_ID_CHARS:
            raise SessionTooLargeError
        return text

    def unseal(self, text: str, owner: str = "") -> SessionFacts:
        """The facts inside an id.

        Raises:
            UnknownSessionError: not an id of ours, or not this owner's, whatever the reason.
        """
        facts = self._seals.open(text, _bound_to(owner))
        if facts is None:
            raise UnknownSessionError
        return facts


def _checked(keys: Sequence[bytes]) -> tuple[bytes, ...]:
    if not keys:
        raise ValueError("a key ring needs at least one key")
    if any(len(key) != KEY_BYTES for key in keys):
        raise ValueError(f"a session key has {KEY_BYTES} bytes")
    return tuple(dict.fromkeys(keys))


def _bound_to(owner: str) -> bytes:
    """Without an owner as ever: sessions of a server that asks nobody outlive an upgrade of erlmcp."""
    return _PURPOSE + hashlib.sha256(owner.encode("utf-8", "surrogatepass")).digest() if owner else _PURPOSE


def new_sid() -> str:
    """A random name for a session, 128 bits."""
    return os.urandom(_SID_BYTES).hex()
