"""What compiled tools have in common, whichever framework they come from: how transports call them.

The tools themselves are ``compiled`` (of an ``MCPServer``) and ``compiled_fastmcp``; which of them a guest
has is found by ``compiling``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from mcp.server.context import ServerRequestContext

from erlmcp.dispatch.at_once import Turn
from erlmcp.dispatch.on_demand import OnDemand

RequestId = int | str
Handler = Callable[[ServerRequestContext[Any, Any], Any], Awaitable[Any]]
"""What the kernel calls to serve a request."""


class Unwritten(Exception):  # noqa: N818 - it carries a call on to the kernel, nothing has failed
    """The kernel must write the answer. ``handler`` tells it the result, in the place of the guest's own."""

    def __init__(self, handler: Handler) -> None:
        super().__init__("the result has no compiled shape")
        self.handler = handler


class Answer(msgspec.Struct, frozen=True):
    """A call's answer as bytes, and whether it says that the tool failed."""

    payload: bytes
    failed: bool


CallNow = Callable[[RequestId, dict[str, Any], Any, Turn], Answer]
"""``Compiled.call`` without a task: takes the id, the arguments, the shapes, and the turn to run in."""


class Compiled(Protocol):
    """One tool."""

    @property
    def now(self) -> CallNow | None:
        """How to call it at once, if a call runs from its first to its last line without giving the event
        loop a turn. Raises as ``call``."""

    @property
    def looks_at_request(self) -> bool:
        """Whether it may look at its request, and so must be given it."""

    async def call(
        self, request_id: RequestId, arguments: dict[str, Any], shapes: Any, asked: OnDemand | None = None
    ) -> Answer:
        """Call the tool and write the answer.

        Raises:
            MCPError: the tool wants a protocol error.
            Unwritten: the answer is for the kernel.
        """


class CompiledTools(Protocol):
    """The tools of a guest that need no kernel."""

    def find(self, name: str) -> Compiled | None:
        """The tool, if at this moment it can be called without the kernel."""

    def shapes(self, version: str) -> Any:
        """How answers are written in a revision; what ``call`` wants."""
