"""Evidence: an immutable record of what was read, from where and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256


def digest_of(data: bytes) -> str:
    """The SHA-256 of ``data`` as 64 lower-case hexadecimal digits."""
    return sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a probe brought back, before it is stored.

    Attributes:
        source: where it was read: a URL, path or command line, without secrets.
        media_type: type of ``body``, such as ``application/json``.
        body: the bytes as read, already redacted where they held a secret.
    """

    source: str
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stored reading.

    Attributes:
        id: ``ev-`` and the first 12 digits of the digest.
        digest: SHA-256 of the body.
        size: bytes of the body.
        read_at: when it was read (UTC).
    """

    id: str
    digest: str
    size: int
    media_type: str
    source: str
    read_at: datetime
