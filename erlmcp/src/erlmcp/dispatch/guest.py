"""The guest: the MCP server object that is served, whatever class it has, as one shape.

It recognises the kinds, finds the low-level server that the kernel runs, connects its changes to the bus and
keeps its lifespan. Running a request is ``erlmcp.dispatch.kernel``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.mcpserver import MCPServer
from mcp.server.models import InitializationOptions
from mcp.server.subscriptions import ListenHandler
from mcp_types import SubscriptionsListenRequestParams

from erlmcp.dispatch import sdk_private
from erlmcp.dispatch.changes import bridge
from erlmcp.dispatch.errors import GuestError
from erlmcp.dispatch.listens import LISTEN, Listens
from erlmcp.dispatch.loading import load
from erlmcp.dispatch.mains import RunningMain
from erlmcp.dispatch.notices import give_notice, names_offered
from erlmcp.dispatch.prompt_faults import tell_prompt_faults
from erlmcp.dispatch.subscribing import offer_subscriptions
from erlmcp.dispatch.tasks.offering import offer_tasks
from erlmcp.sessions.bus import Bus
from erlmcp.sessions.sealed import KeyRing


class GuestInfo(msgspec.Struct, frozen=True):
    """What an operator wants to know of a guest."""

    name: str
    version: str
    kind: str


class Guest:
    """One loaded guest. ``open`` enters its lifespan once; ``close`` leaves it."""

    def __init__(self, server: Server[Any], kind: str, *, delivers_changes: bool, found: Any = None) -> None:
        self.server = server
        self.info = GuestInfo(server.name, server.version or "", kind)
        self.delivers_changes = delivers_changes
        self.found = server if found is None else found
        self.offers_tasks = False
        """Whether we serve the tasks extension for it."""
        self.main: RunningMain | None = None
        self.lifespan_state: Any = None
        self._listen: ListenHandler | Listens | None = None
        self._unbridge: Callable[[], None] | None = None
        self._lifespan: asyncio.Task[None] | None = None
        self._leave = asyncio.Event()

    @classmethod
    async def load(
        cls,
        target: str,
        *,
        bus: Bus,
        keys: KeyRing,
        max_streams: int,
        arguments: Sequence[str] = (),
        factory: bool = False,
        tasks: bool = False,
    ) -> Guest:
        """Load, recognise and connect a guest. Workers with the same keys take each other's rounds.

        Args:
            arguments: what the guest finds in ``sys.argv`` after its own name.
            factory: what the target names is to be called and returns the server.
            tasks: declare the tasks extension for it, unless it serves that itself.

        Raises:
            GuestError: it cannot be found, or is not a server that is known.
        """
        with sdk_private.shared_request_state(keys):
            loaded = await load(target, is_server=_is_server, arguments=arguments, factory=factory)
        guest, source = _recognise(loaded.found, target)
        guest.main = loaded.main
        tell_prompt_faults(guest.server)
        entry = guest.server.get_request_handler(LISTEN)
        handler = entry.handler if entry is not None else None
        if isinstance(handler, ListenHandler):
            source = source or sdk_private.change_source_of_listen(handler)
            guest.connect_listeners(handler, source, bus, max_streams)
        if guest.delivers_changes:
            offer_subscriptions(guest.server)
        guest.offers_tasks = tasks and offer_tasks(guest.server, guest.found)
        return guest

    def connect_listeners(self, handler: ListenHandler, source: Any, bus: Bus, max_streams: int) -> None:
        """Serve listen streams from our bus, fed by ``source``; without a source the guest's own handler
        stays, and only its streams are ended at a drain."""
        self._listen = handler
        if source is None:
            return
        self._unbridge = bridge(source, bus)
        self._listen = Listens(self.server, bus, max_streams)
        self.server.add_request_handler(LISTEN, SubscriptionsListenRequestParams, self._listen)
        self.delivers_changes = True

    async def open(self, *, guarded: bool = False) -> None:
        """Enter the lifespan.

        Args:
            guarded: erlmcp asks the guest's clients for access tokens.

        Raises:
            GuestError: guest.start-failed, with what the lifespan raised.
        """
        loop = asyncio.get_running_loop()
        entered: asyncio.Future[None] = loop.create_future()
        self._lifespan = loop.create_task(self._live(entered, self._leave))
        try:
            await entered
        except Exception as fault:
            raise GuestError(
                "guest.start-failed",
                f"the lifespan of {self.info.name!r} raised {type(fault).__name__}: {fault}",
                hint="the log has the traceback; start the server by itself to see it",
            ) from fault
        await give_notice(self.found, self.info.name, guarded=guarded)

    async def names_offered(self) -> dict[str, frozenset[str]]:
        """The names of its ``tools`` and ``prompts``; without a kind whose names cannot be known now."""
        return await names_offered(self.found)

    async def _live(self, entered: asyncio.Future[None], leave: asyncio.Event) -> None:
        """Enter and leave in one task: cancel scopes and task groups of the guest demand it."""
        try:
            async with self.server.lifespan(self.server) as state:
                self.lifespan_state = state
                entered.set_result(None)
                await leave.wait()
        except Exception as fault:
            if entered.done():
                raise
            entered.set_exception(fault)

    async def close(self) -> None:
        """Leave the lifespan; whatever it raises is the caller's to report."""
        if self._unbridge is not None:
            self._unbridge()
        if isinstance(self._listen, Listens):
            self._listen.leave()
        lifespan, self._lifespan = self._lifespan, None
        main, self.main = self.main, None
        try:
            if lifespan is not None:
                self._leave.set()
                await lifespan
        finally:
            if main is not None:
                await main.close()

    @property
    def ends_listeners(self) -> bool:
        """Whether ``end_listeners`` reaches the guest's listen streams."""
        return self._listen is not None

    def end_listeners(self) -> None:
        """Let every open listen stream send its final result and close."""
        if self._listen is not None:
            self._listen.close()

    def initialization_options(self) -> InitializationOptions:
        """What ``initialize`` answers. Lists are declared as announcing changes when we carry them."""
        if self.delivers_changes:
            return self.server.create_initialization_options(
                NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
            )
        return self.server.create_initialization_options()


def _is_server(found: Any) -> bool:
    return isinstance(found, Server | MCPServer) or _is_fastmcp(found)


def _is_fastmcp(found: Any) -> bool:
    """Whether it is a FastMCP, without importing FastMCP for guests that do not use it."""
    fastmcp = sys.modules.get("fastmcp")
    kind = getattr(fastmcp, "FastMCP", None)
    return isinstance(kind, type) and isinstance(found, kind)


def _recognise(found: Any, target: str) -> tuple[Guest, Any]:
    """The guest, and where it publishes changes."""
    if isinstance(found, Server):
        return Guest(found, "Server", delivers_changes=False), None
    if isinstance(found, MCPServer):
        server = sdk_private.lowlevel_of_mcpserver(found)
        source = sdk_private.change_source_of_mcpserver(found)
        kind = "MCPServer"
    elif _is_fastmcp(found):
        server, source, kind = sdk_private.lowlevel_of_fastmcp(found), None, "FastMCP"
    else:
        raise GuestError(
            "guest.wrong-type",
            f"{target!r} is not an MCP server, got {type(found).__module__}.{type(found).__qualname__};"
            " expected MCPServer or Server of the mcp package, or FastMCP",
            hint="name the server object, or a function that returns or runs it",
        )
    if server is None:
        raise GuestError(
            "guest.sdk-missing",
            f"this release of the SDK behind {target!r} is not known: no low-level server found in {kind}",
            hint="install a release of mcp or fastmcp that this release of erlmcp names",
        )
    return Guest(server, kind, delivers_changes=False, found=found), source
