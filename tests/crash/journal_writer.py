"""Appends entries without pause and says each one after it was acknowledged. Meant to be killed.

Usage: journal_writer.py FOLDER NAME [KILL_AT WHERE]

With KILL_AT it kills itself at its KILL_AT-th append. WHERE is ``commit`` (entry written, transaction not
ended), ``head`` (transaction ended, head file not yet written), ``rename`` (head file half written) or
``said`` (everything done, nobody told).
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from gonogo.journal import head, journal
from gonogo.journal.journal import Journal
from gonogo.model.entry import EntryKind


def main(folder: Path, name: str, kill_at: int, where: str) -> None:
    """Append for ever, or to the kill."""
    clock_reads = count()
    with Journal.open(folder, clock=lambda: datetime(2026, 11, 23, tzinfo=UTC), service="notes") as opened:
        for number in count(1):
            if number == kill_at:
                _arm(where)
            body = {"writer": name, "number": number, "filler": "x" * (number * 37 % 900)}
            entry = opened.append(
                EntryKind.DECISION, body, actor=name, release=f"rel-{next(clock_reads) % 3}"
            )
            if number == kill_at and where == "said":
                _die()
            sys.stdout.write(f"{entry.seq} {entry.hash}\n")
            sys.stdout.flush()


def _arm(where: str) -> None:
    """Make the next append die where it is told to."""
    if where == "commit":
        before = Journal._add

        def add_and_die(self, *arguments):
            before(self, *arguments)
            _die()

        Journal._add = add_and_die
    elif where == "head":
        journal.advance_head = lambda *_: _die()
    elif where == "rename":

        def write_and_die(path, data):
            path.with_name(".half.tmp").write_bytes(data[:7])
            _die()

        head.write_durably = write_and_die


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    arguments = sys.argv[3:] or ["0", ""]
    main(Path(sys.argv[1]), sys.argv[2], int(arguments[0]), arguments[1])
