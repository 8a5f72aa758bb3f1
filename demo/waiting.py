"""Waiting for something to be seen, with a bound. Never a fixed pause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], *, timeout_s: float, every_s: float = 0.01) -> None:
    """Wait until ``condition`` holds.

    Raises:
        TimeoutError: it did not in time.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - counts and other processes ring no bell
            await asyncio.sleep(every_s)
