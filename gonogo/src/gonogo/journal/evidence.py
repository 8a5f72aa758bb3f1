"""The evidence store: what probes read, kept by its digest beside the journal.

Content-addressed: the name of a file is the SHA-256 of its bytes, so the same reading is stored once and any
change to a file shows. Who read what and when is an entry (``EntryKind.EVIDENCE``) that the caller appends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from gonogo.journal.durable import sync_folder, write_durably
from gonogo.journal.verification import Fault
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Evidence, Reading, digest_of

FOLDER_NAME = "evidence"
SIZE_LIMIT_BYTES = 32 * 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class EvidenceStore:
    """Readings by digest under ``folder/evidence``."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / FOLDER_NAME

    def put(self, reading: Reading, *, read_at: datetime) -> Evidence:
        """Store a reading; when this returns it is on the disk.

        Raises:
            GonogoError: ``journal.evidence-too-large`` above 32 MiB.
        """
        size = len(reading.body)
        if size > SIZE_LIMIT_BYTES:
            raise GonogoError(
                "journal.evidence-too-large",
                f"a reading is too large to keep, got {size} bytes of {reading.source}; "
                f"expected at most {SIZE_LIMIT_BYTES}",
                hint="let the probe read less, or a summary",
            )
        digest = digest_of(reading.body)
        self._keep(digest, reading.body)
        return Evidence(
            id=f"ev-{digest[:12]}",
            digest=digest,
            size=size,
            media_type=reading.media_type,
            source=reading.source,
            read_at=read_at,
        )

    def get(self, digest: str) -> bytes:
        """The bytes with this digest.

        Raises:
            GonogoError: ``journal.evidence-missing``, or ``journal.evidence-altered`` if the file's bytes
                have another digest.
        """
        path = self._path_of(digest)
        try:
            body = path.read_bytes()
        except OSError as cause:
            raise GonogoError(
                "journal.evidence-missing",
                f"there is no evidence with digest {digest[:12]}, got {cause.strerror}",
                hint="restore the evidence folder from a copy, or run the check again",
                exit_code=1,
            ) from cause
        got = digest_of(body)
        if got != digest:
            raise GonogoError(
                "journal.evidence-altered",
                f"evidence is not what was stored, got digest {got[:12]}; expected {digest[:12]}",
                hint="restore the evidence folder from a copy, or run the check again",
                exit_code=1,
            )
        return body

    def digests(self) -> Iterator[str]:
        """Digests of everything stored, in order."""
        for path in sorted(self._root.glob("??/*")):
            if _DIGEST.fullmatch(path.name):
                yield path.name

    def verify_all(self, expected: Iterator[str] | None = None) -> list[Fault]:
        """Files that are not what their names say; with ``expected`` digests, also those that are missing."""
        faults = []
        present = set()
        for path in sorted(self._root.glob("*/*")):
            present.add(path.name)
            if path.name.startswith(".") and path.name.endswith(".tmp"):
                continue  # left by a crash before it got its name; refers to nothing
            if not _DIGEST.fullmatch(path.name) or path.parent.name != path.name[:2]:
                faults.append(Fault(0, "stranger in the evidence folder", "files named by digest", path.name))
                continue
            got = digest_of(path.read_bytes())
            if got != path.name:
                faults.append(Fault(0, "evidence altered", path.name, got))
        faults += [
            Fault(0, "evidence missing", digest, "no such file")
            for digest in sorted(set(expected or ()) - present)
        ]
        return faults

    def _keep(self, digest: str, body: bytes) -> None:
        path = self._path_of(digest)
        if not path.parent.exists():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self._root)
        if not path.exists() or path.read_bytes() != body:  # a damaged copy is healed by the true bytes
            write_durably(path, body)

    def _path_of(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise GonogoError(
                "journal.evidence-missing",
                f"this is no digest of evidence, got {digest[:80]!r}; expected 64 hexadecimal digits",
            )
        return self._root / digest[:2] / digest
