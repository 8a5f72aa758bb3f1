"""While a guest's ``main()`` is at work: its calls that would serve hand the server over instead.

The only module that replaces methods of the SDK, FastMCP, uvicorn and asyncio. Every replacement looks first
whether the original is there; all are undone when the server has been handed over, before it is served, so
that nothing of this is left in the request path. Who waits for the server is ``erlmcp.dispatch.mains``.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
import mcp.server.stdio
from mcp.server.lowlevel.server import Server
from mcp.server.mcpserver import MCPServer

from erlmcp.dispatch.errors import GuestError
from erlmcp.dispatch.handover import Handover

_SERVE: Final = (
    "run",
    "run_async",
    "run_stdio_async",
    "run_sse_async",
    "run_http_async",
    "run_streamable_http_async",
)
"""Methods of MCPServer and FastMCP that serve until the client goes."""
_MAKE_APP: Final = ("streamable_http_app", "sse_app", "http_app")
"""Methods that make an HTTP application; its server is handed over when uvicorn is to run it."""


@contextmanager
def intercepted(handover: Handover) -> Iterator[None]:
    """Lead every call that would serve to ``handover`` until the block ends."""
    interception = _Interception(handover)
    try:
        interception.install()
        yield
    finally:
        interception.undo()


class _Interception:
    def __init__(self, handover: Handover) -> None:
        self._handover = handover
        self._undo: list[Callable[[], None]] = []
        self._done: set[type] = set()
        self._over = False
        self._behind_app: Any = None
        """The server whose HTTP application was made last."""

    def install(self) -> None:
        self._servers(MCPServer)
        self._lowlevel()
        self._standard_streams()
        self._event_loops()
        self._signals()
        self.catch_up()

    def catch_up(self) -> None:
        """Replace in what the guest has imported meanwhile."""
        fastmcp = getattr(sys.modules.get("fastmcp"), "FastMCP", None)
        if isinstance(fastmcp, type):
            self._servers(fastmcp)
        uvicorn = getattr(sys.modules.get("uvicorn"), "Server", None)
        if isinstance(uvicorn, type):
            self._http_servers(uvicorn)

    def undo(self) -> None:
        self._over = True
        while self._undo:
            self._undo.pop()()

    def _replace(self, owner: Any, name: str, replacement: Any) -> None:
        """Put ``replacement`` in the place of an attribute that is there, until ``undo``."""
        own = vars(owner).get(name)
        setattr(owner, name, replacement)
        self._undo.append(
            (lambda: setattr(owner, name, own)) if own is not None else (lambda: delattr(owner, name))
        )

    def _servers(self, kind: type) -> None:
        if kind in self._done:
            return
        self._done.add(kind)
        for name in _SERVE:
            original = getattr(kind, name, None)
            if original is not None:
                serve = self._serve_async if inspect.iscoroutinefunction(original) else self._serve
                self._replace(kind, name, _as_method(serve))
        for name in _MAKE_APP:
            original = getattr(kind, name, None)
            if original is not None:
                self._replace(kind, name, self._noting(original))

    def _serve(self, server: Any) -> None:
        self._handover.require_may_wait()
        self._handover.offer(server)
        self._handover.hold()

    async def _serve_async(self, server: Any) -> None:
        self._handover.offer(server)
        await self._handover.hold_async()

    def _noting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def make(server: Any, *args: Any, **kwargs: Any) -> Any:
            app = original(server, *args, **kwargs)
            self._behind_app = server  # after the call: a server may make its app through one inside it
            return app

        return make

    def _lowlevel(self) -> None:
        original = Server.run

        async def run(server: Server[Any], read_stream: Any, *args: Any, **kwargs: Any) -> None:
            if any(read_stream is each for each in self._handover.streams):
                await self._serve_async(server)
            else:  # a server that the guest talks to inside its own process
                await original(server, read_stream, *args, **kwargs)

        self._replace(Server, "run", run)
        self._replace(Server, "streamable_http_app", self._noting(Server.streamable_http_app))

    def _standard_streams(self) -> None:
        original = mcp.server.stdio.stdio_server

        @asynccontextmanager
        async def stdio_server(*args: Any, **kwargs: Any) -> AsyncIterator[tuple[Any, Any]]:
            if self._over:  # a module of the guest has kept this function by name
                async with original(*args, **kwargs) as streams:
                    yield streams
                return
            send, read = anyio.create_memory_object_stream[Any](0)
            write, receive = anyio.create_memory_object_stream[Any](0)
            self._handover.streams.append(read)
            async with send, read, write, receive:
                yield read, write

        self._replace(mcp.server.stdio, "stdio_server", stdio_server)

    def _event_loops(self) -> None:
        """``asyncio.run``, ``anyio.run`` and ``uvloop.run`` all end in ``Runner.run``; older code drives a
        loop by itself."""
        run = asyncio.Runner.run
        run_until_complete = asyncio.BaseEventLoop.run_until_complete

        def bridged_run(runner: asyncio.Runner, coro: Any, *, context: Any = None) -> Any:
            if not self._handover.in_own_thread or not inspect.iscoroutine(coro):
                return run(runner, coro, context=context)
            self.catch_up()
            return self._handover.run(coro)

        def bridged_run_until_complete(loop: asyncio.BaseEventLoop, future: Any) -> Any:
            own = getattr(future, "__qualname__", "").startswith("BaseEventLoop.")  # the loop tidies up
            if own or not self._handover.in_own_thread or not inspect.iscoroutine(future):
                return run_until_complete(loop, future)
            self.catch_up()
            return self._handover.run(future)

        self._replace(asyncio.Runner, "run", bridged_run)
        self._replace(asyncio.BaseEventLoop, "run_until_complete", bridged_run_until_complete)

    def _signals(self) -> None:
        """Signals are the worker's: a drain begins with one. The guest's wish is taken and forgotten."""
        original = signal.signal

        def declined(number: Any, handler: Any) -> Any:
            if self._handover.in_own_thread:
                return signal.getsignal(number)
            return original(number, handler)

        self._replace(signal, "signal", declined)

    def _http_servers(self, kind: type) -> None:
        if kind in self._done:
            return
        self._done.add(kind)

        def run(_: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ARG001 - the signature is uvicorn's
            self._serve(self._noted())

        async def serve(_: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ARG001 - as above
            await self._serve_async(self._noted())

        self._replace(kind, "run", run)
        self._replace(kind, "serve", serve)

    def _noted(self) -> Any:
        if self._behind_app is None:
            fault = GuestError(
                "guest.no-server",
                "main() runs an HTTP application of its own, got no MCP server from it; expected an"
                " application made by streamable_http_app() or http_app()",
                hint="name the server object itself, as package.module:object",
            )
            self._handover.fail(fault)
            raise fault
        return self._behind_app


def _as_method(serve: Callable[[Any], Any]) -> Callable[..., Any]:
    """A function that is bound like a method and needs nothing but the server."""
    if inspect.iscoroutinefunction(serve):

        async def method(server: Any, *_: Any, **__: Any) -> None:
            await serve(server)

        return method

    def plain(server: Any, *_: Any, **__: Any) -> None:
        serve(server)

    return plain
