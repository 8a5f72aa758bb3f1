"""The one way an entry is written as bytes, and the hash that links it to the entry before.

Canonical JSON: keys sorted, no blanks, UTF-8 without escapes for what needs none, no NaN or infinity,
times as UTC ISO 8601 with six digits of microseconds. The hash covers the digest of the body rather than
the body itself, so that a bundle can prove the whole chain while it shows the bodies of one release only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gonogo.model.clock import time_text
from gonogo.model.entry import Entry
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import digest_of

GENESIS = "0" * 64
BODY_LIMIT_BYTES = 64 * 1024


def canonical_json(value: object) -> str:
    """``value`` as canonical JSON text.

    Raises:
        GonogoError: ``journal.bad-body`` if the value has no exact JSON form.
    """
    try:
        _refuse_lossy_keys(value)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as cause:
        raise GonogoError(
            "journal.bad-body",
            f"the body of an entry must be exact JSON, got {type(value).__name__}: {cause}",
            hint="turn facts into JSON with gonogo.model.codec.to_json",
        ) from cause
    return text


def body_text(body: Mapping[str, Any]) -> str:
    """The canonical text of an entry's body.

    Raises:
        GonogoError: ``journal.bad-body``, or ``journal.body-too-large`` above 64 KiB.
    """
    text = canonical_json(dict(body))
    size = len(text.encode())
    if size > BODY_LIMIT_BYTES:
        raise GonogoError(
            "journal.body-too-large",
            f"the body of an entry is too large, got {size} bytes; expected at most {BODY_LIMIT_BYTES}",
            hint="put large things into the evidence store and refer to them by digest",
        )
    return text


def link_hash(*, seq: int, kind: str, at: str, actor: str, release: str, body_digest: str, prev: str) -> str:
    """SHA-256 over the canonical JSON of one entry with its body replaced by the body's digest."""
    fields = {
        "seq": seq,
        "kind": kind,
        "at": at,
        "actor": actor,
        "release": release,
        "body": body_digest,
        "prev": prev,
    }
    return digest_of(canonical_json(fields).encode())


def hash_of(entry: Entry) -> str:
    """What ``entry.hash`` must be."""
    return link_hash(
        seq=entry.seq,
        kind=entry.kind,
        at=time_text(entry.at),
        actor=entry.actor,
        release=entry.release,
        body_digest=digest_of(canonical_json(dict(entry.body)).encode()),
        prev=entry.prev,
    )


def _refuse_lossy_keys(value: object) -> None:
    """Keys that are not text would be turned into text silently, and two could become one."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"keys must be text, got {key!r}")
            _refuse_lossy_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_lossy_keys(item)
