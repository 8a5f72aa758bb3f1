"""What the place where the server runs gives it, and how much of it is used: memory, processors, files, disk.

It reads ``/proc``, the control groups of both kernel interfaces and file systems, and judges nothing. What
cannot be read is left out and never guessed. Writing it down is ``erlmcp.telemetry.capacity``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DISK_TIMEOUT_S: Final = 0.25
"""A file system that answers later is left out; one on a dead network disk never answers."""


@dataclass(frozen=True)
class Memory:
    """Memory that is bounded together.

    Attributes:
        bound: ``machine``, or ``cgroup`` for the tightest limit of a control group.
        used_bytes: what the kernel cannot simply take back.
    """

    bound: str
    used_bytes: int
    limit_bytes: int


@dataclass(frozen=True)
class Descriptors:
    """Open descriptors of one process, and how many it may have."""

    open: int
    limit: int


@dataclass(frozen=True)
class Volume:
    """A file system, as somebody without privileges finds it."""

    name: str
    free_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class _Interface:
    """How one kernel interface names what it tells."""

    mount: str
    limit: str
    used: str
    reclaimable: str


_V2: Final = _Interface("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
_V1: Final = _Interface(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)


def memory(root: Path = Path("/")) -> list[Memory]:
    """The memory of the machine, and of the control group if one has a limit below it."""
    machine = _machine(root)
    if machine is None:
        return []
    groups = [group for interface in (_V2, _V1) for group in _limited(root, interface)]
    tighter = [group for group in groups if group.limit_bytes < machine.limit_bytes]
    return [machine, *([min(tighter, key=lambda group: group.limit_bytes)] if tighter else [])]


def cores(root: Path = Path("/")) -> float:
    """How many processors may be used at one time; a control group may allow a part of one."""
    newer = [_text(folder / "cpu.max").split() for folder in _groups(root, "", "sys/fs/cgroup")]
    older = [
        [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")]
        for folder in _groups(root, "cpu", "sys/fs/cgroup/cpu")
    ]
    shares = [_share(*told) for told in newer + older if len(told) == 2]
    return min([float(len(os.sched_getaffinity(0))), *shares])


def descriptors(pid: int) -> Descriptors | None:
    """Those of a process of ours; None when it has ended or may have any number."""
    folder = f"/proc/{pid}/fd"
    try:
        # Since Linux 6.2 the size of the folder is their number; before, it is zero.
        count = os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH116, PTH208 - read for each worker
        limit, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    except OSError:
        return None
    return None if limit == resource.RLIM_INFINITY else Descriptors(count, limit)


class Volumes:
    """File systems by the name of what is kept on them.

    They are read in a thread of their own, one at a time: nothing waits for a disk that does not answer.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders
        self._reading: threading.Thread | None = None

    async def read(self) -> list[Volume]:
        """What is free now; nothing of those that did not answer in time."""
        if self._reading is not None and self._reading.is_alive():
            return []
        found: list[Volume] = []
        read = asyncio.Event()
        loop = asyncio.get_running_loop()

        def work() -> None:
            for name, folder in self._folders.items():
                with contextlib.suppress(OSError):
                    found.append(_volume(name, folder))
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(read.set)

        self._reading = threading.Thread(target=work, name="volumes", daemon=True)
        self._reading.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISK_TIMEOUT_S):
                await read.wait()
        return list(found)


def _volume(name: str, folder: Path) -> Volume:
    told = os.statvfs(folder)
    return Volume(name, told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize)


def _machine(root: Path) -> Memory | None:
    told = dict(_pairs(_text(root / "proc/meminfo").replace(":", "")))
    if "MemTotal" not in told or "MemAvailable" not in told:
        return None
    total = told["MemTotal"] * 1024
    return Memory("machine", total - told["MemAvailable"] * 1024, total)


def _limited(root: Path, interface: _Interface) -> Iterator[Memory]:
    controller = "memory" if interface is _V1 else ""
    for folder in _groups(root, controller, interface.mount):
        limit, used = _text(folder / interface.limit), _text(folder / interface.used)
        if limit.isdecimal() and used.isdecimal():
            cached = dict(_pairs(_text(folder / "memory.stat"))).get(interface.reclaimable, 0)
            yield Memory("cgroup", max(int(used) - cached, 0), int(limit))


def _groups(root: Path, controller: str, mount: str) -> Iterator[Path]:
    """The folders of this process's control group and of all above it. In a container the names above its
    own may not exist; the mount itself then is its group.

    Args:
        controller: of the older interface; empty for the newer one.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            own = root / mount / path.lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root / mount))


def _share(quota: str, period: str) -> float:
    if quota.isdecimal() and period.isdecimal() and int(period):
        return int(quota) / int(period)
    return float("inf")


def _pairs(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[1].isdecimal():
            yield words[0], int(words[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
