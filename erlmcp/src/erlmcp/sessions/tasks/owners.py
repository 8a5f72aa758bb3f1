"""The workers that run tasks, as processes of this machine: who they are, and when they have died.

A worker is named by where it runs, its process id and when it was started, so that a number used again is
somebody else. Its death is told by the kernel through a descriptor of the process, without asking anybody.
What happens to its tasks then is ``erlmcp.sessions.tasks.table``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

MAX_WATCHED: Final = 1_024
"""Processes watched at the same time; those beyond it are looked at when somebody asks."""

_STARTED_FIELD: Final = 19
"""Of /proc/PID/stat, counted behind the name in brackets: when it was started, in ticks since the boot."""
_STATE_FIELD: Final = 0


class Owner(msgspec.Struct, frozen=True, array_like=True):
    """One worker process. ``place`` is this boot of this machine, and the process namespace in it."""

    place: str
    pid: int
    started: int


@cache
def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return os.urandom(8).hex()  # a place of its own: nothing is known of anybody else
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:16]


def this_process() -> Owner:
    """The worker that asks."""
    return Owner(_place(), os.getpid(), _started(os.getpid()) or 0)


def has_died(owner: Owner) -> bool:
    """Whether the process has ended for certain; of one in another place nothing is known."""
    return owner.place == _place() and _started(owner.pid) != owner.started


def _started(pid: int) -> int | None:
    """When a living process was started; None when there is none of that number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[_STATE_FIELD] in (b"Z", b"X") else int(fields[_STARTED_FIELD])


class Owners:
    """Watches the other workers of this machine.

    Args:
        on_death: called once for each watched process that has ended.
    """

    def __init__(self, on_death: Callable[[Owner], None]) -> None:
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        self._watched: dict[Owner, int] = {}

    def watch(self, owner: Owner) -> None:
        """Tell when this process ends, at once if it has; twice is once."""
        if owner in self._watched or owner.place != _place() or len(self._watched) >= MAX_WATCHED:
            return
        try:
            descriptor = os.pidfd_open(owner.pid)
        except OSError:
            self._on_death(owner)
            return
        if has_died(owner):  # the number is somebody else's by now
            os.close(descriptor)
            self._on_death(owner)
            return
        self._watched[owner] = descriptor
        self._loop.add_reader(descriptor, self._ended, owner)

    def close(self) -> None:
        """Watch nobody any more."""
        for owner in list(self._watched):
            self._forget(owner)

    def _ended(self, owner: Owner) -> None:
        self._forget(owner)
        self._on_death(owner)

    def _forget(self, owner: Owner) -> None:
        descriptor = self._watched.pop(owner)
        self._loop.remove_reader(descriptor)
        with contextlib.suppress(OSError):
            os.close(descriptor)
