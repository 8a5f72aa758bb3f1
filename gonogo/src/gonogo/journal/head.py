"""The head file: sequence number and hash of the newest entry, beside the database.

The chain alone cannot show that its tail was cut off; the head file can, because it says how far the journal
had come. It is written after the commit, so after a crash it may be behind the database, never ahead of it.
Somebody who can write the database can write this file too: what proves a journal against its own keeper is a
bundle that left the house (``gonogo.journal.bundle``) or a signature that names an entry's hash.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gonogo.journal.durable import write_durably

FILE_NAME = "journal.head"


@dataclass(frozen=True, slots=True)
class Head:
    """How far the journal had come when this was written."""

    seq: int
    hash: str


def read_head(folder: Path) -> Head | None:
    """The head, or None if there is no head file.

    Raises:
        ValueError: there is one but it does not say what a head file says.
    """
    try:
        text = (folder / FILE_NAME).read_text("ascii")
    except FileNotFoundError:
        return None
    fields = json.loads(text)
    if not isinstance(fields, dict) or fields.keys() != {"seq", "hash"}:
        raise ValueError("expected an object with seq and hash")
    head = Head(seq=int(fields["seq"]), hash=str(fields["hash"]))
    if text != _text_of(head):
        raise ValueError("not in the form it was written in")
    return head


def advance_head(folder: Path, head: Head) -> None:
    """Move the head file forward to ``head``; never back, whatever the order of writers."""
    with folder_lock(folder):
        try:
            current = read_head(folder)
        except ValueError:
            return  # somebody altered it: stays as it is, so that verify reports it
        if current is not None and current.seq >= head.seq:
            return
        write_durably(folder / FILE_NAME, _text_of(head).encode())


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the journal's folder against other processes for a moment."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _text_of(head: Head) -> str:
    return json.dumps({"hash": head.hash, "seq": head.seq}) + "\n"
