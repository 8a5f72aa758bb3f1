"""What the kernel would give to the handler of a compiled call, made only when somebody asks for it.

Most tools never look at their request. Each object here is the one that the kernel would have made, by the
kernel's own steps; ``erlmcp.dispatch.kernel`` makes and closes it, compiled tools read from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final

from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.runner import ServerRunner

from erlmcp.dispatch import sdk_private
from erlmcp.dispatch.context import CallContext
from erlmcp.protocol.eras import is_modern_version
from erlmcp.protocol.plain_call import PlainParams

STATELESS_TRANSPORT: Final = "streamable-http"

MakeRunner = Callable[[Connection, Mapping[str, Any] | None], ServerRunner[Any]]


class OnDemand:
    """The request of one compiled call.

    Args:
        make_runner: the kernel's runner for a connection.
        plain: name, arguments and envelope, as they came.
        version: the protocol revision of the request.
        transport: its name, as in metrics.
        make_context: what the handler can do meanwhile.
        make_connection: of the session, or of this request alone.
    """

    def __init__(
        self,
        make_runner: MakeRunner,
        plain: PlainParams,
        version: str,
        transport: str,
        make_context: Callable[[], CallContext],
        make_connection: Callable[[], Connection],
    ) -> None:
        self.transport = transport
        self.is_modern = is_modern_version(version)
        self._make_runner = make_runner
        self._plain = plain
        self._make_context = make_context
        self._make_connection = make_connection

    @property
    def is_stateless(self) -> bool:
        """Whether nothing about the client outlives the request: one of the modern era over HTTP."""
        return self.is_modern and self.transport == STATELESS_TRANSPORT

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the call."""
        return self._plain.arguments

    @cached_property
    def params(self) -> dict[str, Any]:
        """The parameters as any request has them."""
        return self._plain.as_params()

    @cached_property
    def context(self) -> CallContext:
        """What the handler can do meanwhile."""
        return self._make_context()

    @cached_property
    def connection(self) -> Connection:
        """The SDK's connection."""
        return self._make_connection()

    @cached_property
    def request_context(self) -> ServerRequestContext[Any, Any]:
        """The SDK's context of the request."""
        runner = self._make_runner(self.connection, self.params)
        return sdk_private.request_context(runner, self.context, self.params)

    @property
    def own_connection(self) -> Connection | None:
        """A connection that was made for this request, if one was, and ends with it."""
        made: Connection | None = vars(self).get("connection")
        return made if self.is_modern else None
