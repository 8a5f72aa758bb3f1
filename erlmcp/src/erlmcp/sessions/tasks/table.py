"""The tasks of all workers as one of them knows them: its own, and copies of the others'.

Each worker tells the others whatever happens to its tasks, and repeats it for one that starts later. So an
ended task outlives its worker, and a task whose worker dies is known to have failed. A copy may be behind or
missing; who wants to be sure asks the owner (``erlmcp.sessions.tasks.asking``). An ended task never changes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec
from mcp_types import INTERNAL_ERROR

from erlmcp.config.schema import TaskSettings
from erlmcp.protocol.faults import Fault
from erlmcp.protocol.tasks import FAILED, Task, error_of
from erlmcp.sessions.bus import NEWCOMER, TASKS_CHANGED, Bus, BusEvent
from erlmcp.sessions.tasks.owners import Owner, Owners, has_died, this_process

SETTLE_S: Final = 0.5
"""What a worker said before it died may still be on its way."""

LOST: Final = Fault(
    INTERNAL_ERROR, "the worker that ran the task has died, and its outcome is lost", {"cause": "worker-died"}
)
_BATCH: Final = 256
_BATCH_BYTES: Final = 1024 * 1024
_LOOK_AT: Final = 16

Watcher = Callable[[Task], None]


class Known(msgspec.Struct, frozen=True, array_like=True):
    """A task and the worker that runs it."""

    owner: Owner
    task: Task


class TaskTable:
    """Knows tasks by their names.

    Args:
        bus: reaches the other workers.
        settings: the limits.
        clock: seconds of the epoch.
    """

    def __init__(self, bus: Bus, settings: TaskSettings, clock: Callable[[], float]) -> None:
        self.me = this_process()
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._own: dict[str, Task] = {}
        self._own_bytes = 0
        self._copies: OrderedDict[str, Known] = OrderedDict()
        self._copied_bytes = 0
        self._watchers: dict[object, Watcher] = {}
        self._owners = Owners(self._settle)
        self._settling: set[asyncio.TimerHandle] = set()
        self._decoder = msgspec.msgpack.Decoder(list[Known])
        self._unsubscribe = bus.subscribe(self._hear)

    @property
    def now_ms(self) -> int:
        """The time, as tasks carry it."""
        return int(self._clock() * 1000)

    @property
    def kept(self) -> int:
        """How many tasks of our own there are, running and ended."""
        return len(self._own)

    def owned(self, name: str) -> Task | None:
        """A task of this worker."""
        return self._own.get(name)

    def copy(self, name: str) -> Task | None:
        """What was heard last of a task of another worker."""
        known = self._copies.get(name)
        return None if known is None or known.task.expires_ms <= self.now_ms else known.task

    def put(self, task: Task) -> Task:
        """Keep the new state of a task of our own, and tell everybody. What does not fit fails the task.

        Returns:
            The state that is kept; the one before, if the task had ended.
        """
        before = self._own.get(task.name)
        if before is not None and before.is_terminal:
            return before
        task = self._fitted(task, 0 if before is None else len(before.detail))
        self._own_bytes += len(task.detail) - (0 if before is None else len(before.detail))
        self._own[task.name] = task
        self._publish([Known(self.me, task)])
        return task

    def drop(self, name: str) -> None:
        """Forget a task of our own; copies of it expire by themselves."""
        task = self._own.pop(name, None)
        if task is not None:
            self._own_bytes -= len(task.detail)

    def lose(self, owner: Owner, task: Task) -> Task:
        """A task whose owner has died without a word that reached us: it has failed, from now on for good."""
        before = self.copy(task.name)
        if before is not None and before.is_terminal:
            return before
        lost = _lost(task if before is None else before, self.now_ms)
        self._note(Known(owner, lost))
        return lost

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Hear of every change of any task until the returned function is called."""
        token = object()
        self._watchers[token] = watcher

        def unwatch() -> None:
            self._watchers.pop(token, None)

        return unwatch

    def close(self) -> None:
        """Hear no more changes."""
        self._unsubscribe()
        self._owners.close()
        for timer in self._settling:
            timer.cancel()

    def _fitted(self, task: Task, before_bytes: int) -> Task:
        settings, size = self._settings, len(task.detail)
        if size > settings.max_result_bytes:
            why = f"the result is longer than {settings.max_result_bytes} bytes"
        elif self._own_bytes - before_bytes + size > settings.max_total_bytes:
            why = "there is no room to keep the result"
        else:
            return task
        error = error_of(Fault(INTERNAL_ERROR, why))
        return task.moved(FAILED, self.now_ms, detail=error, message=why)

    # -- what the others say --

    def _publish(self, known: list[Known]) -> None:
        self._bus.publish(BusEvent(TASKS_CHANGED, data=msgspec.msgpack.encode(known)))

    def _hear(self, event: BusEvent) -> None:
        if event.kind == NEWCOMER:
            for batch in _batches(self._repeatable()):
                self._publish(batch)
        elif event.kind == TASKS_CHANGED:
            for known in self._decoder.decode(event.data):
                self._take(known)

    def _take(self, known: Known) -> None:
        if known.owner == self.me:
            self._tell(known.task)
            return
        before = self._copies.get(known.task.name)
        if before is not None and (before.task.is_terminal or before.task == known.task):
            return
        self._note(known)
        if not known.task.is_terminal:
            self._owners.watch(known.owner)

    def _repeatable(self) -> Iterator[Known]:
        """Our own tasks, and those of whom cannot repeat them any more."""
        yield from (Known(self.me, task) for task in list(self._own.values()))
        yield from (known for known in list(self._copies.values()) if has_died(known.owner))

    def _note(self, known: Known) -> None:
        name = known.task.name
        before = self._copies.pop(name, None)
        self._copied_bytes += len(known.task.detail) - (0 if before is None else len(before.task.detail))
        self._copies[name] = known
        self._make_room()
        self._tell(known.task)

    def _make_room(self) -> None:
        """Let expired copies go, and the oldest when there are too many: their owners still know them."""
        now_ms = self.now_ms
        for name, known in list(islice(self._copies.items(), _LOOK_AT)):
            if known.task.expires_ms <= now_ms:
                self._forget_copy(name)
        settings = self._settings
        while len(self._copies) > settings.max_kept or self._copied_bytes > settings.max_total_bytes:
            self._forget_copy(next(iter(self._copies)))

    def _forget_copy(self, name: str) -> None:
        self._copied_bytes -= len(self._copies.pop(name).task.detail)

    def _tell(self, task: Task) -> None:
        for watcher in list(self._watchers.values()):
            watcher(task)

    def _settle(self, owner: Owner) -> None:
        def fail() -> None:
            self._settling.discard(timer)
            for known in list(self._copies.values()):
                if known.owner == owner and not known.task.is_terminal:
                    self._note(Known(owner, _lost(known.task, self.now_ms)))

        timer = self._loop.call_later(SETTLE_S, fail)
        self._settling.add(timer)


def _lost(task: Task, now_ms: int) -> Task:
    return task.moved(FAILED, now_ms, detail=error_of(LOST), message=LOST.message)


def _batches(known: Iterable[Known]) -> Iterator[list[Known]]:
    batch: list[Known] = []
    size = 0
    for each in known:
        if batch and (len(batch) >= _BATCH or size + len(each.task.detail) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += len(each.task.detail)
    if batch:
        yield batch
