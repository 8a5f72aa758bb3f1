"""Changes of tasks on a ``subscriptions/listen`` stream, beside whatever else the stream carries.

The guest's listen handler knows nothing of tasks. It serves the stream as always; its acknowledgement gets
the ids of the tasks put in, and from then on their changes are sent between its own messages. A guest without
such a handler gets a stream of tasks alone. Only the latest state of each task waits to be sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from erlmcp.dispatch.context import CallContext
from erlmcp.protocol.tasks import CHANGED, Task

ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
SUBSCRIPTION_KEY: Final = "io.modelcontextprotocol/subscriptionId"
MAX_TASKS: Final = 100
"""Tasks that one stream can follow."""

Watch = Callable[[Callable[[Task], None]], Callable[[], None]]


class TaskListening:
    """One stream.

    Args:
        context: of the listen request.
        tasks: what is to be followed, as it is now.
        watch: subscribes to the changes of all tasks.
    """

    def __init__(self, context: CallContext, tasks: list[Task], watch: Watch) -> None:
        self._context = context
        self._latest = {task.name: task for task in tasks}
        self._sent: dict[str, Task] = {}
        self._ids = [task.id for task in tasks]
        self._changed = asyncio.Event()
        self._unwatch = watch(self._hear)
        self._acknowledged = asyncio.Event()

    async def serve(self, others: Callable[[], Awaitable[dict[str, Any]]] | None) -> dict[str, Any]:
        """Serve the stream until it ends.

        Args:
            others: runs the guest's own handler; None when it has none.
        """
        self._context.amend = self._amend
        sending = asyncio.create_task(self._send())
        try:
            if others is not None:
                return await others()
            await self._context.notify(ACKNOWLEDGED, {"notifications": {}, "_meta": self._meta})
            await asyncio.Event().wait()  # until the client goes, or the server ends the stream
            raise AssertionError("nobody sets it")
        finally:
            self._unwatch()
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    @property
    def _meta(self) -> dict[str, Any]:
        return {SUBSCRIPTION_KEY: self._context.request_id}

    def _amend(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method != ACKNOWLEDGED:
            return params
        self._acknowledged.set()
        self._changed.set()
        return {**params, "notifications": {**params.get("notifications", {}), "taskIds": self._ids}}

    def _hear(self, task: Task) -> None:
        known = self._latest.get(task.name)
        if known is not None and not known.is_terminal:
            self._latest[task.name] = task
            self._changed.set()

    async def _send(self) -> None:
        """Send what has changed since it was sent last, first of all everything as it is."""
        await self._acknowledged.wait()
        while True:
            await self._changed.wait()
            self._changed.clear()
            for name, task in list(self._latest.items()):
                if self._sent.get(name) != task:
                    self._sent[name] = task
                    await self._context.notify(CHANGED, {**task.as_detailed(), "_meta": self._meta})
