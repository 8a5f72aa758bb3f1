"""Ids of streams: random, and marked as ours, so that no worker asks the others about invented ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import Final

from erlmcp.sessions.sealed import KeyRing

_RANDOM_BYTES: Final = 18
_MARK_BYTES: Final = 18
_ID_CHARS: Final = (_RANDOM_BYTES + _MARK_BYTES) * 4 // 3
_PURPOSE: Final = "sse stream"


class StreamIds:
    """Makes and recognises ids; every worker with the key ring does."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys: tuple[bytes, ...] = ()
        keys.follow(_PURPOSE, self._take)

    def new(self, owner: str = "") -> str:
        """An id that nobody can guess, and that only its owner can use."""
        drawn = os.urandom(_RANDOM_BYTES)
        return base64.urlsafe_b64encode(drawn + _mark(self._keys[0], drawn, owner)).decode("ascii")

    def _take(self, keys: tuple[bytes, ...]) -> None:
        self._keys = keys

    def is_ours(self, stream_id: str, owner: str = "") -> bool:
        """Whether a worker with one of our keys made it for this owner; its stream may have ended."""
        if len(stream_id) != _ID_CHARS or not stream_id.isascii():
            return False
        try:
            blob = base64.b64decode(stream_id, altchars=b"-_", validate=True)
        except ValueError:
            return False
        drawn, mark = blob[:_RANDOM_BYTES], blob[_RANDOM_BYTES:]
        return any(hmac.compare_digest(mark, _mark(key, drawn, owner)) for key in self._keys)


def _mark(key: bytes, drawn: bytes, owner: str) -> bytes:
    return hmac.digest(key, drawn + owner.encode("utf-8", "surrogatepass"), hashlib.sha256)[:_MARK_BYTES]
