"""Runs what a guest has instead of an object: a function, a script, the ``main()`` of an installed command.

Each may return the server (a factory) or serve it; both end in the same place. What serves stays suspended
until ``RunningMain.close``, see ``erlmcp.dispatch.handover``.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from erlmcp.dispatch.errors import GuestError, call_failed
from erlmcp.dispatch.handover import Handover
from erlmcp.dispatch.interception import intercepted

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S: Final = 2.0
"""How long a ``main()`` may tidy up after its server is served no more."""


class RunningMain:
    """A ``main()`` that has been started; at work until ``close``.

    Its module is imported and it is started inside ``intercepted``: a module keeps by name what it imports.
    """

    def __init__(self, called: str) -> None:
        self._called = called
        self._handover = Handover()
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def intercepted(self) -> Iterator[None]:
        """Until the block ends, what would serve hands the server over."""
        with intercepted(self._handover):
            yield

    async def server(self, function: Callable[[], Any], *, accept: Callable[[Any], Any]) -> Any:
        """What the function serves or returns; it goes on when it serves.

        Args:
            function: runs to its end, or until it serves.
            accept: makes a server of what it returned, or None.

        Raises:
            GuestError: it ended without a server, or raised.
        """
        if inspect.iscoroutinefunction(function):
            self._task = self._loop.create_task(self._run_async(function, accept))
        else:
            thread = threading.Thread(
                target=self._run, args=(function, accept), name="guest-main", daemon=True
            )
            self._handover.thread = thread
            thread.start()
        return await asyncio.shield(self._handover.taken)

    async def close(self) -> None:
        """Let ``main()`` go on to its end; one that does not get there in time is left behind."""
        self._handover.end()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._ended.wait()
        except TimeoutError:
            logger.warning("%s has not ended within %g s after its server", self._called, CLOSE_TIMEOUT_S)

    def abandon(self) -> None:
        """There was no server: what waits goes on, and what does not end is left behind."""
        self._handover.end()
        if self._task is not None:
            self._task.cancel()

    def _run(self, function: Callable[[], Any], accept: Callable[[Any], Any]) -> None:
        """In a thread of its own, since it may wait as long as the server is served."""
        current = asyncio.new_event_loop()  # older code asks for the loop of its thread and drives it
        asyncio.set_event_loop(current)
        try:
            made = function()
            if inspect.iscoroutine(made):
                made = self._handover.run(made)
            self._returned(made, accept)
        except BaseException as fault:  # noqa: BLE001 - whatever it is, the start has failed with it
            self._raised(fault)
        finally:
            asyncio.set_event_loop(None)
            current.close()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._ended.set)

    async def _run_async(self, function: Callable[[], Any], accept: Callable[[Any], Any]) -> None:
        try:
            self._returned(await function(), accept)
        except (Exception, SystemExit) as fault:  # noqa: BLE001 - as in a thread
            self._raised(fault)
        finally:
            self._ended.set()

    def _returned(self, made: Any, accept: Callable[[Any], Any]) -> None:
        server = accept(made)
        if server is not None:
            self._handover.offer(server)
            return
        self._fail(
            GuestError(
                "guest.no-server",
                f"{self._called} ended without serving, got {type(made).__name__} from it; expected it to"
                " return an MCP server or to run one",
                hint="name the server object, or the function that runs or returns it",
            )
        )

    def _raised(self, fault: BaseException) -> None:
        if isinstance(fault, GuestError):
            self._fail(fault)
        elif isinstance(fault, SystemExit):
            self._fail(
                GuestError(
                    "guest.no-server",
                    f"{self._called} ended without serving, got exit status {fault.code or 0}; expected it"
                    " to run a server",
                    hint="the log has what it said; its arguments go after --",
                )
            )
        else:
            failed = call_failed(self._called, fault)
            failed.__cause__ = fault
            self._fail(failed)

    def _fail(self, fault: GuestError) -> None:
        if self._handover.taken.done():
            logger.debug("%s has ended", self._called)
        else:
            self._handover.fail(fault)
