"""Readings that several checks of one run share: the unit test run, the rehearsal, the metrics page.

It only makes sure that each is made once; what is made stands beside the checks that use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from gonogo.checks.context import CheckContext

Made = TypeVar("Made")


class Shared:
    """What was made so far in this run, by the function that made it."""

    def __init__(self) -> None:
        self._tasks: dict[object, asyncio.Task[Any]] = {}

    async def once(self, make: Callable[[CheckContext], Awaitable[Made]], ctx: CheckContext) -> Made:
        """What ``make`` brings; made once, also when several ask at once or the first gives up waiting.

        Raises:
            Exception: whatever ``make`` raised, for everybody who asks.
        """
        if make not in self._tasks:

            async def run() -> Made:
                return await make(ctx)

            self._tasks[make] = asyncio.create_task(run())
        return cast("Made", await asyncio.shield(self._tasks[make]))

    async def close(self) -> None:
        """Give up what is still being made."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
