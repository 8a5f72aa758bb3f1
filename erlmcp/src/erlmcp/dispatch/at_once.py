"""Runs a coroutine that never waits to its end, without a task of its own.

A task costs an object, a place in the loop's queue and one more turn of the loop. An ``async def`` without a
single ``await`` gains nothing from it: it would run from its first to its last line in that one turn. Here it
does so at once, in a context of its own and with a current task, as in a task. It knows no tools and no
requests; ``erlmcp.dispatch.compiled`` decides what runs here.
"""

from __future__ import annotations

import asyncio
import dis
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from inspect import CO_COROUTINE
from types import CodeType, MethodType
from typing import Any, Final

from erlmcp.dispatch.callers import enter
from erlmcp.protocol.grants import Grant
from erlmcp.telemetry.correlation import CURRENT, Correlated

_PLACES_TO_WAIT: Final = frozenset(
    {
        "BEFORE_ASYNC_WITH",
        "GET_AITER",
        "GET_ANEXT",
        "GET_AWAITABLE",
        "GET_YIELD_FROM_ITER",
        "SEND",
        "YIELD_FROM",
        "YIELD_VALUE",
    }
)


def never_waits(function: Callable[..., Any]) -> bool:
    """Whether a function is an ``async def`` without any place at which it could wait. False if in doubt."""
    if type(function) is MethodType:
        function = function.__func__
    code = getattr(function, "__code__", None)
    if type(code) is not CodeType or not code.co_flags & CO_COROUTINE:
        return False
    return all(instruction.opname not in _PLACES_TO_WAIT for instruction in dis.get_instructions(code))


class Turn:
    """Where such coroutines run; one for each event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stand_in: asyncio.Task[None] | None = None
        self._request: Correlated | None = None
        self._grant: Grant | None = None

    @property
    def is_free(self) -> bool:
        """Whether no task is running now; within one nothing can be run here."""
        return asyncio.current_task(self._loop) is None

    def for_request(self, request: Correlated, grant: Grant | None = None) -> Turn:
        """The same, for what is run next on behalf of a request."""
        self._request, self._grant = request, grant
        return self

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it to its end; what it returns. Raises whatever it raises.

        The current task that it sees is a stand-in which runs nothing: libraries ask for one to find out
        that they are within asyncio.

        Raises:
            RuntimeError: it waits after all.
        """
        task = self._stand_in
        if task is None or task.done():
            task = self._stand_in = self._loop.create_task(_wait_for_ever(self._loop))
        _enter_task(self._loop, task)
        try:
            request, grant = self._request, self._grant
            self._request = self._grant = None
            copy_context().run(_begin, coroutine, request, grant)
        except StopIteration as end:
            return end.value
        finally:
            _leave_task(self._loop, task)
        coroutine.close()
        raise RuntimeError("a coroutine without a place to wait has waited")

    def close(self) -> None:
        """Let the stand-in go."""
        if self._stand_in is not None:
            self._stand_in.cancel()


def _begin(coroutine: Coroutine[Any, Any, Any], request: Correlated | None, grant: Grant | None) -> Any:
    CURRENT.set(request)
    enter(grant)
    return coroutine.send(None)


async def _wait_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    await loop.create_future()
