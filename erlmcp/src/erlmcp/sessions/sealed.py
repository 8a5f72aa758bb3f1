"""Session ids that carry their session: sealed facts, readable by every worker that has the key ring.

AES-256-GCM under a ring of keys: the first seals, all open, so keys can be changed without ending a
session. What is live (streams, waiting requests) is not in here; ``erlmcp.sessions.registry`` knows it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
MAX_ID_CHARS = 4096
"""Longest session id; header limits of common proxies start at 8 KiB for all headers together."""

_NONCE_BYTES = 12
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
    """Seals session facts into an id and opens it again.

    Raises:
        ValueError: no key, or a key that is not 32 bytes.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("a key ring needs at least one key")
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a session key has {KEY_BYTES} bytes")
        self._keys = tuple(keys)
        self._ciphers = tuple(AESGCM(key) for key in keys)
        self._decoder = msgspec.msgpack.Decoder(SessionFacts)

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

    def seal(self, facts: SessionFacts) -> str:
        """The session id: visible ASCII, at most ``MAX_ID_CHARS``.

        Raises:
            SessionTooLargeError: the client's description is too long.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, msgspec.msgpack.encode(facts), _PURPOSE)
        text = base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode("ascii")
        if len(text) > MAX_ID_CHARS:
            raise SessionTooLargeError
        return text

    def unseal(self, text: str) -> SessionFacts:
        """The facts inside an id.

        Raises:
            UnknownSessionError: not an id of ours, whatever the reason.
        """
        blob = _decode(text)
        for cipher in self._ciphers:
            try:
                plain = cipher.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], _PURPOSE)
                return self._decoder.decode(plain)
            except (InvalidTag, msgspec.MsgspecError):
                continue
        raise UnknownSessionError


def new_sid() -> str:
    """A random name for a session, 128 bits."""
    return os.urandom(_SID_BYTES).hex()


def _decode(text: str) -> bytes:
    """The bytes of an id; there is exactly one text for them, so an id cannot be varied."""
    if len(text) > MAX_ID_CHARS or not text.isascii():
        raise UnknownSessionError
    raw = text.encode("ascii")
    try:
        blob = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
    except binascii.Error as fault:
        raise UnknownSessionError from fault
    if len(blob) <= _NONCE_BYTES + 16 or base64.urlsafe_b64encode(blob).rstrip(b"=") != raw:
        raise UnknownSessionError
    return blob
