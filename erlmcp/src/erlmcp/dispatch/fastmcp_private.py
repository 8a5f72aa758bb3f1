"""What we must know of FastMCP beyond what it promises: the other half of ``sdk_private``, under its rules.

It is imported only for a guest that is a FastMCP, and looks before it takes.
"""

from __future__ import annotations

import logging
import operator
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from importlib.metadata import version
from typing import Any, Final, cast

import fastmcp.server.context
from fastmcp import FastMCP
from fastmcp.server.dependencies import (
    FastMCPRequestContext,
    _dispatching_tool_call,
    _serving_client_tool_call,
    bind_request_context,
    fastmcp_request_ctx,
)
from fastmcp.server.extensions import _extension_tool_call_scope
from fastmcp.server.low_level import FastMCPServerMiddleware
from fastmcp.server.middleware.dereference import DereferenceRefsMiddleware
from fastmcp.server.mixins import mcp_operations
from fastmcp.server.providers.local_provider import LocalProvider
from fastmcp.tools.base import Tool, ToolResult
from fastmcp.tools.function_tool import FunctionTool
from mcp.server.lowlevel.server import Server
from mcp.server.request_state import RequestStateBoundary
from opentelemetry import trace

from erlmcp.dispatch.on_demand import OnDemand
from erlmcp.dispatch.sdk_private import KNOWN_SDK, OPERATORS_TRACER
from erlmcp.dispatch.tasks.offering import changes_no_call

_ITS_NAMES: Final = {"stdio": "stdio", "sse": "sse"}
"""Of our transports, by what distinguishes them for FastMCP; all others have many clients, as HTTP has."""


def transport_teller() -> Callable[[str], None]:
    """Tells FastMCP which transport the message of the current task came over.

    FastMCP keeps what a client without a session has changed for itself, such as hidden tools, for the whole
    process when it knows of no transport, since then it takes the client for the only one. Without this
    variable nothing is told, and that is what happens.
    """
    variable = getattr(fastmcp.server.context, "_current_transport", None)

    def tell(transport: str) -> None:
        if isinstance(variable, ContextVar):
            value: ContextVar[Any] = variable
            value.set(_ITS_NAMES.get(transport, "streamable-http"))

    return tell


_KNOWN_RELEASE: Final = "4.1."
"""The series whose way of calling a tool ``erlmcp.dispatch.compiled_fastmcp`` repeats."""
_STEPS: Final = (
    "call_tool",
    "get_tool",
    "_get_tool",
    "_on_call_tool",
    "_dispatch_component_middleware",
    "_run_middleware",
    "_compose_tool_call_interceptors",
    "_rebind_prefab_tool_names",
)
_ORIGINAL_STEPS: Final = tuple(getattr(FastMCP, name, None) for name in _STEPS)
_CLASS_STEPS: Final = operator.attrgetter(*_STEPS)
_logger: Final = logging.getLogger(mcp_operations.__name__)


class Counted(dict[str, Any]):
    """A dictionary that counts its changes. It takes the place of a provider's table of components."""

    changes = 0

    def _counting(name: str) -> Any:  # type: ignore[misc]  # noqa: N805 - makes the methods below
        original = getattr(dict, name)

        def changed(self: Counted, *arguments: Any, **keywords: Any) -> Any:
            self.changes += 1
            return original(self, *arguments, **keywords)

        return changed

    __setitem__ = _counting("__setitem__")
    __delitem__ = _counting("__delitem__")
    __ior__ = _counting("__ior__")
    clear = _counting("clear")
    pop = _counting("pop")
    popitem = _counting("popitem")
    setdefault = _counting("setdefault")
    update = _counting("update")


class ToolTable:
    """The tools of a ``FastMCP``, and whether it still calls them in the one way that is known."""

    def __init__(self, server: FastMCP[Any], lowlevel: Server[Any], provider: LocalProvider) -> None:
        self._server = server
        self._lowlevel = lowlevel
        self._provider = provider
        self._entry = lowlevel.get_request_handler("tools/call")
        self._chains = (list(lowlevel.middleware), list(server.middleware), list(server.providers))
        self._extensions = dict(server._extensions)  # noqa: SLF001
        self._size = len(vars(server))
        components = provider._components  # noqa: SLF001
        if type(components) is not Counted:
            components = provider._components = Counted(components)  # noqa: SLF001
        self._components: Counted = components
        self._changes = components.changes
        self._found: dict[str, FunctionTool | None] = {}

    def is_plain(self) -> bool:
        """Whether nothing was put between a call and its tool since the table was made."""
        server, lowlevel, provider = self._server, self._lowlevel, self._provider
        middleware, interceptors, providers = self._chains
        return (
            trace._TRACER_PROVIDER is None  # noqa: SLF001 - the getter is slow
            and lowlevel.middleware == middleware
            and lowlevel.get_request_handler("tools/call") is self._entry
            and server.middleware == interceptors
            and server.providers == providers
            and not server._transforms  # noqa: SLF001 - the public property makes a copy
            and not provider._transforms  # noqa: SLF001
            and server._extensions == self._extensions  # noqa: SLF001
            and server.auth is None
            and provider._components is self._components  # noqa: SLF001
            and len(vars(server)) == self._size
            and _CLASS_STEPS(FastMCP) == _ORIGINAL_STEPS
            and not _logger.isEnabledFor(logging.DEBUG)
        )

    def tool(self, name: str) -> FunctionTool | None:
        """The one tool of a name that is a function; None if there is another, or none."""
        if self._components.changes != self._changes:
            self._changes = self._components.changes
            self._found.clear()
        if name not in self._found:
            named = [c for c in self._components.values() if isinstance(c, Tool) and c.name == name]
            if len(named) != 1 or type(named[0]) is not FunctionTool:
                return None  # not remembered: clients could name what they like
            self._found[name] = named[0]
        tool = self._found[name]
        return tool if tool is not None and tool.name == name else None


def tool_table(found: Any, lowlevel: Server[Any]) -> ToolTable | None:
    """The tools of a server that calls them as FastMCP does by default. Without it calls take the kernel.

    None for a subclass or an object that overrides a step of the call, for providers, transforms and
    authentication of any kind, for middleware and extensions that could change a call, for a tracer that
    would see a span, and for another release.
    """
    known = version("fastmcp").startswith(_KNOWN_RELEASE) and version("mcp").startswith(KNOWN_SDK)
    if not known or type(found) is not FastMCP or None in _ORIGINAL_STEPS:
        return None
    server: FastMCP[Any] = found
    provider = getattr(server, "_local_provider", None)
    entry = lowlevel.get_request_handler("tools/call")
    if (
        type(provider) is not LocalProvider
        or type(getattr(provider, "_components", None)) not in (dict, Counted)
        or [type(each) for each in lowlevel.middleware] != [FastMCPServerMiddleware, RequestStateBoundary]
        or entry is None
        or getattr(entry.handler, "__func__", None) is not _ORIGINAL_STEPS[_STEPS.index("_on_call_tool")]
        or getattr(entry.handler, "__self__", None) is not server
        or not all(map(_leaves_calls_alone, server.middleware))
        or not all(map(_leaves_calls_alone, server._extensions.values()))  # noqa: SLF001
        or server.providers != [provider]
        or set(_STEPS) & vars(server).keys()
        or {"get_tool", "_get_tool", "transforms"} & vars(provider).keys()
        or "tools/call" in lowlevel.cache_hints
        or OPERATORS_TRACER in os.environ
    ):
        return None
    table = ToolTable(server, lowlevel, provider)
    return table if table.is_plain() else None


def _leaves_calls_alone(part: Any) -> bool:
    return type(part) is DereferenceRefsMiddleware or changes_no_call(part)


@contextmanager
def serving(server: FastMCP[Any], request: Any) -> Iterator[None]:
    """What FastMCP has set while it serves a client's call, but for its ``Context``.

    Args:
        request: what stands for its own request context.
    """
    fastmcp_request_ctx.set(request)  # the task is of this call alone: nothing needs to be set back
    for variable, value in (server._shared_context_snapshot or {}).items():  # noqa: SLF001
        variable.set(value)
    with _serving_client_tool_call(), _dispatching_tool_call(), _extension_tool_call_scope(server):
        yield


def is_raw(result: ToolResult) -> bool:
    """Whether a tool made the protocol's own result, which goes out as it is. True if in doubt."""
    return getattr(result, "_raw_mcp_result", result) is not None


class LateRequestContext(FastMCPRequestContext):
    """FastMCP's request context, whose members are found when one of them is first asked for."""

    def __init__(self, asked: OnDemand) -> None:
        self.__dict__["_asked"] = asked

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in _MEMBERS:
            raise AttributeError(name)
        with bind_request_context(self.__dict__["_asked"].request_context) as made:
            self.__dict__.update(vars(made))
        return self.__dict__[name]


_MEMBERS: Final = {field.name for field in fields(FastMCPRequestContext)}


class Ended:
    """A ``FastMCP`` whose tool has run already: it serves the call with how that ended, in all its own steps.

    What a failure is called, logged and hidden is FastMCP's affair.
    """

    def __init__(self, server: FastMCP[Any], outcome: ToolResult | Exception) -> None:
        self._server = server
        self._outcome = outcome

    async def handle(self, context: Any, params: Any) -> Any:
        """What FastMCP answers; in the place of its handler."""
        return await FastMCP._on_call_tool(cast("FastMCP[Any]", self), context, params)  # noqa: SLF001

    async def call_tool(self, *arguments: Any, **keywords: Any) -> Any:
        """FastMCP's own way."""
        return await FastMCP.call_tool(cast("FastMCP[Any]", self), *arguments, **keywords)

    async def get_tool(self, _name: str, _version: Any = None, **_: Any) -> Ended:
        """What stands for the tool."""
        return self

    def get_span_attributes(self) -> dict[str, Any]:
        """Nobody records them."""
        return {}

    async def _run(self, _arguments: Any) -> ToolResult:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)
