"""Task ids that any worker can read: sealed facts, like the ids of sessions.

An id names the worker that runs the task, so that every worker with the key ring knows whom to ask, and can
tell a task whose worker has died from one that never was. It is sealed to the principal of its creator: for
anybody else it is no id at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from erlmcp.sessions.sealed import KeyRing
from erlmcp.sessions.tasks.owners import Owner

MAX_ID_CHARS: Final = 512
"""Longest id that is read; ours have about 200 characters and travel in a header."""

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
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
        self._ciphers = [AESGCM(key) for key in keys.derived("tasks")]
        self._decoder = msgspec.msgpack.Decoder(TaskFacts)

    def seal(self, facts: TaskFacts, principal: str) -> str:
        """The id of a task: URL-safe ASCII."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, msgspec.msgpack.encode(facts), _bound_to(principal))
        return base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode("ascii")

    def unseal(self, text: str, principal: str) -> TaskFacts:
        """The facts inside an id.

        Raises:
            UnknownTaskError: not an id of ours, or not one of this principal.
        """
        blob = _decoded(text)
        for cipher in self._ciphers:
            try:
                plain = cipher.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], _bound_to(principal))
                return self._decoder.decode(plain)
            except (InvalidTag, msgspec.MsgspecError):
                continue
        raise UnknownTaskError


def new_name() -> str:
    """A random name for a task, 128 bits."""
    return os.urandom(_NAME_BYTES).hex()


def _bound_to(principal: str) -> bytes:
    return b"erlmcp task v1 " + hashlib.sha256(principal.encode("utf-8", "surrogatepass")).digest()


def _decoded(text: str) -> bytes:
    """The bytes of an id; there is exactly one text for them."""
    if len(text) > MAX_ID_CHARS or not text.isascii():
        raise UnknownTaskError
    raw = text.encode("ascii")
    try:
        blob = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
    except binascii.Error as fault:
        raise UnknownTaskError from fault
    if len(blob) <= _NONCE_BYTES + _TAG_BYTES or base64.urlsafe_b64encode(blob).rstrip(b"=") != raw:
        raise UnknownTaskError
    return blob
