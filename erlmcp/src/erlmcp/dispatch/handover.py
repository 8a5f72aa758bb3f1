"""Where a guest's ``main()`` leaves its server instead of serving it, and where it then waits.

``main()`` stays suspended at the call that would have served until the worker closes: whatever it has opened
around that call (a pool, a file, a client) stays open as long as the server is served, and its own tidying
runs when it is over. A coroutine that ``main()`` wants to run goes to the worker's loop, so that everything
it makes belongs to the loop that serves. What leads the calls here is ``erlmcp.dispatch.interception``; who
starts ``main()`` is ``erlmcp.dispatch.mains``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

from erlmcp.dispatch.errors import GuestError


class Handover:
    """One server on its way from a ``main()`` to the worker. Made in the loop that serves.

    Attributes:
        thread: the thread of a ``main()`` that is not a coroutine; coroutines it runs go to our loop.
        streams: what stood in for standard input; a server that is run on one of them is handed over.
    """

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.streams: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._lock = threading.Lock()
        self._server: Any = None
        self._fault: BaseException | None = None
        self._over: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._over.set_running_or_notify_cancel()  # a waiter that is cancelled must not cancel the others
        self.taken: asyncio.Future[Any] = self._loop.create_future()
        self.taken.add_done_callback(lambda done: done.cancelled() or done.exception())

    def offer(self, server: Any) -> None:
        """Hand a server over. The same one may be offered again, from any thread.

        Raises:
            GuestError: guest.ambiguous, for another one.
        """
        with self._lock:
            first = self._server
            if first is None:
                self._server = server
        if first is not None and first is not server:
            fault = _second(first, server)
            self.fail(fault)
            raise fault
        self._soon_settle()

    def fail(self, fault: BaseException) -> None:
        """There will be no server, or not only one; the first cause counts."""
        self._fault = self._fault or fault
        self._soon_settle()

    def _soon_settle(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        """A turn of the loop later, so that a second server of the same turn is seen in time."""
        if self.taken.done():
            return
        if self._fault is not None:
            self.taken.set_exception(self._fault)
        else:
            self.taken.set_result(self._server)

    @property
    def in_own_thread(self) -> bool:
        """Whether the caller is the guest's ``main()`` in its own thread, and not the loop that serves."""
        return self.thread is threading.current_thread()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine of ``main()`` in the worker's loop and wait for it, in the thread of ``main()``."""
        kind, value = asyncio.run_coroutine_threadsafe(_contained(coroutine), self._loop).result()
        if kind == "raised":
            raise value
        return value

    def require_may_wait(self) -> None:
        """Return in any thread but the loop's, which must not wait.

        Raises:
            RuntimeError: as the original would, for a ``run()`` in a coroutine.
        """
        if threading.get_ident() == self._loop_thread:
            raise RuntimeError("run() was called inside a running event loop; expected its async form")

    def hold(self) -> None:
        """Wait, in a thread, until the worker closes."""
        self._over.result()

    async def hold_async(self) -> None:
        """Wait, in any loop, until the worker closes."""
        await asyncio.shield(asyncio.wrap_future(self._over))

    def end(self) -> None:
        """The server is served no more: let ``main()`` go on to its end."""
        if not self._over.done():
            self._over.set_result(None)


async def _contained(coroutine: Coroutine[Any, Any, Any]) -> tuple[str, Any]:
    """What came of a coroutine; one that exits must end ``main()`` and not the loop that serves."""
    try:
        return "returned", await coroutine
    except (Exception, SystemExit, KeyboardInterrupt) as fault:  # noqa: BLE001 - raised again in its thread
        return "raised", fault


def _second(first: Any, second: Any) -> GuestError:
    return GuestError(
        "guest.ambiguous",
        f"main() serves two servers, got {_name(first)} and {_name(second)}; expected one",
        hint="name the server object that is meant, as package.module:object",
    )


def _name(server: Any) -> str:
    return f"{type(server).__name__} {getattr(server, 'name', '')!r}"
