"""What a guest depends on: its calls are counted and timed, and what it cannot do without makes it not ready.

Guests use it as ``erlmcp.dependency`` and ``erlmcp.needs``; without a server it counts for nobody. Each
worker judges by its own calls, and ``components`` puts the judgements of all workers together. A dependency
that is down counts as up again after ``DOWN_FOR_S`` without a call, since a server that is not ready gets
none that could find out.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final

from erlmcp.telemetry.meter import BUCKETS_S, ToolCount, tool_count

FAILURES: Final = 3
"""Calls in a row that fail before a dependency is down."""
DOWN_FOR_S: Final = 30.0
MAX_NEEDED: Final = 32

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Dependencies:
    """Of one process. Its calls may come from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, ToolCount] = {}
        self._needed: dict[str, _Health] = {}

    def needs(self, name: str) -> None:
        """Declare that the guest cannot serve without it: while it is down, the server is not ready.

        Raises:
            ValueError: the name is not letters, digits, ``.``, ``_`` and ``-``, or it is one too many.
        """
        with self._lock:
            if _checked(name) not in self._needed and len(self._needed) >= MAX_NEEDED:
                raise ValueError(f"too many dependencies are needed, got {name!r}; expected {MAX_NEEDED}")
            self._needed.setdefault(name, _Health())

    def dependency(self, name: str) -> Call:
        """A call of it, as a context: ``with erlmcp.dependency("postgres"): ...``, also around an ``await``.

        Raises:
            ValueError: as ``needs``.
        """
        return Call(self, _checked(name))

    def ended(self, name: str, outcome: str, seconds: float) -> None:
        """Count a call that is over."""
        with self._lock:
            count = tool_count(self._counts, name)
            count.outcomes[outcome] += 1
            count.buckets[bisect_left(BUCKETS_S, seconds)] += 1
            count.sum_s += seconds
            health = self._needed.get(name)
            if health is not None:
                health.take(outcome, self._clock())

    def snapshot(self) -> dict[str, Any]:
        """All totals so far, and how what is needed does, JSON-able; ages are seconds, None for never."""
        with self._lock:
            now = self._clock()
            return {
                "dependencies": {
                    name: {
                        "outcomes": dict(count.outcomes),
                        "buckets": list(count.buckets),
                        "sum_s": count.sum_s,
                    }
                    for name, count in self._counts.items()
                },
                "needs": {name: health.told(now) for name, health in self._needed.items()},
            }


class _Health:
    def __init__(self) -> None:
        self._failures = 0
        self._ok_at: float | None = None
        self._failed_at: float | None = None

    def take(self, outcome: str, now: float) -> None:
        if outcome == "ok":
            self._failures, self._ok_at = 0, now
        elif outcome == "error":
            self._failures, self._failed_at = self._failures + 1, now

    def told(self, now: float) -> dict[str, Any]:
        return {
            "failures": self._failures,
            "ok_age_s": None if self._ok_at is None else now - self._ok_at,
            "failed_age_s": None if self._failed_at is None else now - self._failed_at,
        }


class Call:
    """One call of a dependency, from entering to leaving. What it raises is passed on."""

    __slots__ = ("_began", "_dependencies", "_name")

    def __init__(self, dependencies: Dependencies, name: str) -> None:
        self._dependencies = dependencies
        self._name = name
        self._began = 0.0

    def __enter__(self) -> None:
        """It begins."""
        self._began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It is over."""
        seconds = time.perf_counter() - self._began
        if kind is None:
            outcome = "ok"
        else:
            outcome = "cancelled" if issubclass(kind, asyncio.CancelledError | GeneratorExit) else "error"
        self._dependencies.ended(self._name, outcome, seconds)


def components(snapshots: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is needed, as ``/ready`` tells it, from the snapshots of all workers.

    It is down if a worker finds it so and none has had a call that went well since.
    """
    told: dict[str, list[Mapping[str, Any]]] = {}
    for snapshot in snapshots:
        for name, health in snapshot.get("needs", {}).items():
            told.setdefault(name, []).append(health)
    return [
        {
            "name": f"dependency:{name}",
            "status": "down" if _is_down(healths) else "up",
            "critical": True,
            "detail": f"{max(each['failures'] for each in healths)} failed calls in a row",
        }
        for name, healths in sorted(told.items())
    ]


def _is_down(healths: list[Mapping[str, Any]]) -> bool:
    ages = [
        each["failed_age_s"]
        for each in healths
        if each["failures"] >= FAILURES and each["failed_age_s"] < DOWN_FOR_S
    ]
    oks = [each["ok_age_s"] for each in healths if each["ok_age_s"] is not None]
    return bool(ages) and min(ages) < min(oks, default=float("inf"))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"not the name of a dependency, got {name!r}; expected letters, digits, '.', '_', '-'"
        )
    return name


OF_THIS_PROCESS: Final = Dependencies()
dependency: Final = OF_THIS_PROCESS.dependency
needs: Final = OF_THIS_PROCESS.needs
