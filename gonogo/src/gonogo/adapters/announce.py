"""Where announcements go. A channel can be asked whether something was delivered, so nothing is said twice.

Here: a file of JSON lines, which a console, a chat bridge or a person can follow. Channels that leave the
machine come with their own adapters; what is said is ``deploy.announcing``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Protocol

_MAX_FILE_BYTES = 16 * 1024 * 1024


class Channel(Protocol):
    """One way to tell people."""

    name: str

    def delivered(self, message_id: str) -> bool:
        """Whether a message with this id is known to have arrived."""
        ...

    def send(self, message_id: str, text: str, at: str) -> None:
        """Deliver once; returns when it has arrived."""
        ...


class FileChannel:
    """Appends one JSON object a line to a file."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self.path = path

    def delivered(self, message_id: str) -> bool:
        """Whether the file holds a whole line with this id."""
        try:
            data = self.path.read_bytes()[-_MAX_FILE_BYTES:]
        except FileNotFoundError:
            return False
        return any(_id_of(line) == message_id for line in data.split(b"\n"))

    def send(self, message_id: str, text: str, at: str) -> None:
        """Append the message; it is on the disk when this returns."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = json.dumps({"id": message_id, "at": at, "text": text}, ensure_ascii=False) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"\n" + line.encode())  # the blank line heals a line torn by a crash
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _id_of(line: bytes) -> str | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found.get("id") if isinstance(found, dict) else None
