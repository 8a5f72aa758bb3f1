"""The file of a log: appended to by several processes, and rotated by whichever of them finds it due.

Each process looks at the file now and then. When it has grown too large or too old, one of them renames it
under a lock, and every process opens the new one when it looks next; what is written to the renamed file
meanwhile is kept with it, so nothing is lost. A program that rotates logs itself may rename the file too:
nobody has to be told. What a line is, is ``erlmcp.telemetry.logs``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from erlmcp.config.log_settings import LogSettings
from erlmcp.telemetry.logs import Log, open_log_file

LOOK_INTERVAL_S: Final = 0.5
"""How often a process looks at its file."""
_FIRST_LINE_BYTES: Final = 512

log = Log(__name__)


class LogFile:
    """A log that this process appends to.

    Args:
        settings: its path, which later changes of the working directory leave as it is; when it is rotated.
        clock: the time, seconds since 1970.

    Attributes:
        descriptor: takes lines; the same number for good, whatever file is behind it.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, settings: LogSettings, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(settings.file).absolute()
        self.descriptor = open_log_file(str(self.path))
        self._settings = settings
        self._clock = clock
        self._began: tuple[int, float] | None = None
        self._is_failing = False

    async def mind(self) -> None:
        """Look at the file for ever."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            self.look()

    def look(self) -> None:
        """Append to the file that has our name now, and rotate it if that is due; trouble is logged once."""
        try:
            if not self._is_ours():
                self._open_again()
            if self._is_due() and self._rotate():
                log.info("log.rotated", file=str(self.path), keep=self._settings.keep)
        except OSError:
            if not self._is_failing:
                log.exception("log.rotation-failed", file=str(self.path))
            self._is_failing = True
        else:
            self._is_failing = False

    def close(self) -> None:
        """Write no more."""
        os.close(self.descriptor)

    def _is_ours(self) -> bool:
        """Whether our descriptor is that of the file with our name."""
        ours = os.fstat(self.descriptor)
        try:
            named = self.path.stat()
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino)

    def _open_again(self) -> None:
        """Exchange the file behind the descriptor in one step: another thread may be writing to it."""
        opened = open_log_file(str(self.path))
        os.dup2(opened, self.descriptor, inheritable=False)
        os.close(opened)

    def _is_due(self) -> bool:
        settings, size = self._settings, os.fstat(self.descriptor).st_size
        if settings.max_bytes and size >= settings.max_bytes:
            return True
        if not settings.max_age_s or not size:
            return False
        return self._clock() - self._first_line_at() >= settings.max_age_s

    def _first_line_at(self) -> float:
        """When the file began: the time in its first line, else that of its last change."""
        about = os.fstat(self.descriptor)
        if self._began is None or self._began[0] != about.st_ino:
            self._began = about.st_ino, _time_of_first_line(self.path) or about.st_mtime
        return self._began[1]

    def _rotate(self) -> bool:
        """Rename the file and open a new one; false if another process is doing that, or has done it."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            mine = self._is_ours()
            if mine:
                self._make_room()
                self.path.rename(self._older(1))
        finally:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        self._open_again()
        return mine

    def _make_room(self) -> None:
        """Let each older file be one older, and forget what is too old."""
        keep, older = self._settings.keep, dict(self._all_older())
        for number in older:
            if number > keep:
                self._older(number).unlink(missing_ok=True)
        free = next(number for number in range(1, keep + 1) if number == keep or number not in older)
        for number in range(free - 1, 0, -1):
            self._older(number).rename(self._older(number + 1))

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _all_older(self) -> Iterator[tuple[int, Path]]:
        ours = re.compile(rf"{re.escape(self.path.name)}\.([1-9]\d{{0,5}})")
        for each in self.path.parent.iterdir():
            if found := ours.fullmatch(each.name):
                yield int(found[1]), each


def log_file_of(settings: LogSettings) -> LogFile | None:
    """The file that takes log lines; None when that is standard error.

    Raises:
        OSError: it cannot be opened.
    """
    return LogFile(settings) if settings.file else None


@contextlib.contextmanager
def minded(log_file: LogFile | None) -> Iterator[None]:
    """Look after a log while something runs."""
    minding = asyncio.create_task(log_file.mind()) if log_file is not None else None
    try:
        yield
    finally:
        if minding is not None:
            minding.cancel()


def _time_of_first_line(file: Path) -> float | None:
    with file.open("rb") as opened:
        line = opened.read(_FIRST_LINE_BYTES)
    found = re.match(rb'\{"ts":\s*("[^"]{1,40}")', line)
    try:
        return datetime.fromisoformat(json.loads(found[1])).timestamp() if found else None
    except ValueError:
        return None
