"""Facts sealed into text that only a holder of the keys can make or read: ids that carry what they name.

AES-256-GCM; the first key seals, all open, so that keys can be changed without ending anything. It knows
neither sessions nor tasks: ``erlmcp.sessions.sealed`` and ``erlmcp.sessions.tasks.ids`` say what is sealed.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16

Facts = TypeVar("Facts", bound=msgspec.Struct)


class Seals(Generic[Facts]):
    """Seals facts of one kind, and opens them again.

    Args:
        keys: 32 bytes each, at least one.
        kind: of the facts.
        max_chars: longest text that is looked at.
    """

    def __init__(self, keys: Sequence[bytes], kind: type[Facts], *, max_chars: int) -> None:
        self.take(keys)
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._max_chars = max_chars

    def take(self, keys: Sequence[bytes]) -> None:
        """From now on these keys; what only an earlier one opens is unknown."""
        self._ciphers = tuple(AESGCM(key) for key in keys)

    def seal(self, facts: Facts, bound_to: bytes) -> str:
        """URL-safe ASCII, which opens only for whoever gives the same ``bound_to``."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, msgspec.msgpack.encode(facts), bound_to)
        return base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode("ascii")

    def open(self, text: str, bound_to: bytes) -> Facts | None:
        """The facts; None for any text that was not sealed by one of the keys, bound to the same."""
        blob = self._decoded(text)
        if blob is None:
            return None
        for cipher in self._ciphers:
            try:
                plain = cipher.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], bound_to)
                return self._decoder.decode(plain)
            except (InvalidTag, msgspec.MsgspecError):
                continue
        return None

    def _decoded(self, text: str) -> bytes | None:
        """The bytes of a text; there is exactly one text for them, so an id cannot be varied."""
        if len(text) > self._max_chars or not text.isascii():
            return None
        raw = text.encode("ascii")
        try:
            blob = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        if len(blob) <= _NONCE_BYTES + _TAG_BYTES or base64.urlsafe_b64encode(blob).rstrip(b"=") != raw:
            return None
        return blob
