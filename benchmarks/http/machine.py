"""What the machine says of a process tree: its CPU time, its memory, and who else was busy. Linux only."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and everything below it."""
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        for children in (_PROC / str(current) / "task").glob("*/children"):
            with suppress(OSError):
                todo += [int(child) for child in children.read_text().split()]
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds that a process tree has used, in user and kernel mode."""
    ticks = 0
    for each in tree(pid):
        with suppress(OSError):
            fields = (_PROC / str(each) / "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_S


def memory_mb(pid: int) -> float:
    """Memory of a process tree in MB."""
    return memory_bytes(pid) / (1024 * 1024)


def memory_bytes(pid: int) -> int:
    """Memory of a process tree in bytes, with shared pages counted in parts."""
    kilobytes = 0
    for each in tree(pid):
        with suppress(OSError):
            for line in (_PROC / str(each) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
    return kilobytes * 1024


def busy_s(core: int) -> float:
    """Seconds that a core was not idle since the machine started."""
    for line in (_PROC / "stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            ticks = [int(field) for field in line.split()[1:9]]
            return (sum(ticks) - ticks[3] - ticks[4]) / _TICKS_PER_S
    raise ValueError(f"this machine has no core {core}")


def own_children_cpu_s() -> float:
    """CPU seconds of children that have ended, which the load generator is one of."""
    times = os.times()
    return times.children_user + times.children_system
