"""The only module that reaches into the SDK beyond what it promises; for FastMCP see ``fastmcp_private``.

Each function looks before it takes: when the attribute is not there or not of the known shape, it answers
None and the caller goes on without the feature, which the function's docstring names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Final, cast

from mcp.server.connection import Connection
from mcp.server.context import ServerMiddleware, ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.tools.base import Tool
from mcp.server.mcpserver.tools.tool_manager import ToolManager
from mcp.server.request_state import AESGCMRequestStateCodec, RequestStateBoundary, RequestStateSecurity
from mcp.server.runner import ServerRunner
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.dispatcher import DispatchContext
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    CallToolRequestParams,
    RequestParams,
)
from starlette.routing import BaseRoute

from erlmcp.sessions.sealed import KeyRing

try:
    from mcp.server._otel import OpenTelemetryMiddleware
    from opentelemetry import trace
except ImportError:  # another release: ``tool_table`` answers None
    _TRACES_KNOWN = False
else:
    _TRACES_KNOWN = hasattr(trace, "_TRACER_PROVIDER")


def lowlevel_of_mcpserver(server: Any) -> Server[Any] | None:
    """The low-level server inside an ``MCPServer``. Without it the guest cannot be served."""
    found = getattr(server, "_lowlevel_server", None)
    return found if isinstance(found, Server) else None


def lowlevel_of_fastmcp(server: Any) -> Server[Any] | None:
    """The low-level server inside a ``FastMCP`` 4. Without it the guest cannot be served."""
    found = getattr(server, "_mcp_server", None)
    return found if isinstance(found, Server) else None


def change_source_of_mcpserver(server: Any) -> InMemorySubscriptionBus | None:
    """Where an ``MCPServer`` publishes changes, if that is the SDK's in-process bus.

    A bus that the guest brought itself reaches other processes by its own means and is left alone.
    Without it, changes are heard only by clients of the same worker.
    """
    return _in_process(getattr(server, "_subscriptions", None))


def change_source_of_listen(handler: ListenHandler) -> InMemorySubscriptionBus | None:
    """Where a listen handler hears changes, if that is the SDK's in-process bus; else as above."""
    return _in_process(getattr(handler, "_bus", None))


def tools_of_mcpserver(server: Any) -> dict[str, Tool] | None:
    """The tools of an ``MCPServer`` by name. Without them it is asked for its list, as any other guest."""
    found = getattr(getattr(server, "_tool_manager", None), "_tools", None)
    return found if isinstance(server, MCPServer) and isinstance(found, dict) else None


def http_routes(server: Any) -> list[BaseRoute]:
    """The HTTP routes that a guest has declared beside its MCP endpoint, those of mounted FastMCPs included.

    Without them the guest is served all the same, and these paths are not found.
    """
    declared = getattr(server, "_get_additional_http_routes", None)
    found = declared() if callable(declared) else getattr(server, "_custom_starlette_routes", None)
    return [each for each in found if isinstance(each, BaseRoute)] if isinstance(found, list) else []


def asks_for_tokens(server: Any) -> bool:
    """Whether a guest would check access tokens if it served by itself. Without it nobody is warned."""
    return any(getattr(server, name, None) is not None for name in ("auth", "_token_verifier"))


class _SharedCodec:
    """The SDK's own codec, under keys that can be replaced while it serves."""

    def __init__(self, keys: KeyRing) -> None:
        self._codec: AESGCMRequestStateCodec
        keys.follow("request-state", self._take)

    def _take(self, keys: tuple[bytes, ...]) -> None:
        self._codec = AESGCMRequestStateCodec(keys)

    def seal(self, payload: bytes) -> str:
        """An opaque text that only the keys open."""
        return self._codec.seal(payload)

    def unseal(self, token: str) -> bytes:
        """What was sealed.

        Raises:
            InvalidRequestState: no key of ours opens it.
        """
        return self._codec.unseal(token)


@contextmanager
def shared_request_state(keys: KeyRing) -> Iterator[None]:
    """While a guest is made, let the request-state policy that is private to a process use shared keys.

    A server seals what a client must bring back in the next round of a call. By default the SDK takes a key
    of the process for it, and then only one worker could take the next round. A guest that names its own
    keys is not touched, since it never asks for the default.
    """
    codec = _SharedCodec(keys)
    original = RequestStateSecurity.ephemeral

    def shared(*, ttl: float = 600.0, audience: str | None = None) -> RequestStateSecurity:
        return RequestStateSecurity(codec=codec, ttl=ttl, audience=audience)

    RequestStateSecurity.ephemeral = shared  # type: ignore[method-assign]
    try:
        yield
    finally:
        RequestStateSecurity.ephemeral = original  # type: ignore[method-assign]


def _in_process(bus: Any) -> InMemorySubscriptionBus | None:
    return bus if type(bus) is InMemorySubscriptionBus else None


OPERATORS_TRACER: Final = "OTEL_PYTHON_TRACER_PROVIDER"
_PLAIN_META: Final = {
    "progressToken",
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
}


class Untraced:
    """A low-level server as the kernel sees it while nobody records spans: without the SDK's span around
    each message. Everything else is the server's own."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server
        self._possible = _TRACES_KNOWN and OPERATORS_TRACER not in os.environ

    def serves(self, params: Mapping[str, Any] | None) -> bool:
        """Whether nobody can tell that there is no span: no provider, and no trace to go on with."""
        if not self._possible or trace._TRACER_PROVIDER is not None:  # noqa: SLF001 - the getter is slow
            return False
        meta = params.get("_meta") if params else None
        return meta is None or (isinstance(meta, dict) and meta.keys() <= _PLAIN_META)

    @property
    def middleware(self) -> list[ServerMiddleware[Any]]:
        """The server's own, but for the SDK's span."""
        return [each for each in self._server.middleware if type(each) is not OpenTelemetryMiddleware]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


def is_unobserved(server: Server[Any]) -> bool:
    """Whether nobody but the SDK itself stands around a handler: no middleware of the guest, no tracer.

    Without it streams are served by the SDK's own handler, which costs more memory.
    """
    return (
        _TRACES_KNOWN
        and OPERATORS_TRACER not in os.environ
        and trace._TRACER_PROVIDER is None  # noqa: SLF001 - the getter is slow
        and all(type(each) in (OpenTelemetryMiddleware, RequestStateBoundary) for each in server.middleware)
    )


def has_cleanup(connection: Connection) -> bool:
    """Whether somebody has left something to do at the connection's end. True if in doubt."""
    return bool(getattr(connection.exit_stack, "_exit_callbacks", True))


def request_context(
    runner: ServerRunner[Any], dispatch: DispatchContext[Any], params: dict[str, Any]
) -> ServerRequestContext[Any, Any]:
    """The kernel's context of a call, made by its own steps.

    Only for a server that has a tool table, which means that its release is known to have these steps.
    """
    meta = RequestParams.model_validate(params, by_name=False).meta if "_meta" in params else None
    version = runner.connection.protocol_version
    return runner._make_context(dispatch, "tools/call", params, meta, version)  # noqa: SLF001


def tool_context(
    server: Any, request_context: ServerRequestContext[Any, Any], params: dict[str, Any]
) -> Context[Any, Any]:
    """What an ``MCPServer`` gives to a tool that has a parameter for it; as ``request_context``."""
    return Context(
        request_context=request_context,
        mcp_server=server,
        input_params=CallToolRequestParams.model_validate(params, by_name=False),
        subscriptions=server._subscriptions,  # noqa: SLF001
    )


KNOWN_SDK: Final = "2.3."
"""The series whose way of calling a tool ``erlmcp.dispatch.compiled`` repeats; any other keeps the kernel."""


class ToolTable:
    """The tools of an ``MCPServer``, and whether the SDK still calls them in the one way that is known."""

    def __init__(
        self, server: MCPServer[Any], lowlevel: Server[Any], manager: ToolManager, tools: Any
    ) -> None:
        self.tools: dict[str, Tool] = tools
        self._server = server
        self._lowlevel = lowlevel
        self._manager = manager
        self._entry = lowlevel.get_request_handler("tools/call")
        self._middleware = list(lowlevel.middleware)
        self._sizes = (len(vars(server)), len(vars(manager)), len(vars(lowlevel)))

    def is_plain(self) -> bool:
        """Whether nothing was put between a call and its tool since the table was read."""
        server, lowlevel = self._server, self._lowlevel
        kind = type(server)
        return (
            trace._TRACER_PROVIDER is None  # noqa: SLF001 - the getter is slow
            and lowlevel.middleware == self._middleware
            and lowlevel.get_request_handler("tools/call") is self._entry
            and kind.call_tool is _CALL_TOOL
            and kind._handle_call_tool is _HANDLE_CALL_TOOL  # noqa: SLF001 - an override must be seen
            and self._manager._tools is self.tools  # noqa: SLF001 - so must a table that was exchanged
            and (len(vars(server)), len(vars(self._manager)), len(vars(lowlevel))) == self._sizes
        )


_CALL_TOOL: Final = MCPServer.call_tool
_HANDLE_CALL_TOOL: Final = getattr(MCPServer, "_handle_call_tool", None)


def tool_table(server: Any) -> ToolTable | None:
    """The tools of a server that calls them as the SDK does by default. Without it calls take the kernel.

    None for a subclass or an object that overrides a step of the call, for middleware other than the SDK's
    own, for extensions that intercept calls, for a tracer that would see a span, and for another release.
    """
    known = _TRACES_KNOWN and version("mcp").startswith(KNOWN_SDK) and hasattr(ServerRunner, "_make_context")
    if not known or not isinstance(server, MCPServer):
        return None
    lowlevel, manager = lowlevel_of_mcpserver(server), getattr(server, "_tool_manager", None)
    tools = getattr(manager, "_tools", None)
    if type(lowlevel) is not Server or type(manager) is not ToolManager or type(tools) is not dict:
        return None
    kinds = [type(middleware) for middleware in lowlevel.middleware]
    entry = lowlevel.get_request_handler("tools/call")
    overridden = {"call_tool", "_handle_call_tool", "get_tool", "_serialize"} & {
        *vars(server),
        *vars(manager),
    }
    if (
        kinds != [OpenTelemetryMiddleware, RequestStateBoundary]
        or entry is None
        or _HANDLE_CALL_TOOL is None
        or getattr(entry.handler, "__func__", None) is not _HANDLE_CALL_TOOL
        or getattr(entry.handler, "__self__", None) is not server
        or overridden
        or "tools/call" in lowlevel.cache_hints
        or OPERATORS_TRACER in os.environ
    ):
        return None
    table = ToolTable(cast("MCPServer[Any]", server), lowlevel, manager, tools)
    return table if table.is_plain() else None
