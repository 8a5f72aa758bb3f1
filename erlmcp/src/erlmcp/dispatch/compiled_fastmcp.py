"""FastMCP's tools called without the SDK's kernel and FastMCP's own dispatch.

Those build two contexts, a middleware chain, a lookup through providers and transforms, and several models
around each call. Here a call sets what FastMCP sets while it serves one, with a request context whose
members are made when they are first asked for, and then runs the tool itself: FastMCP's validation, its
dependency injection and its conversion of the result. What has no compiled shape, above all a failure, goes
back through all of FastMCP, which finishes it. What must hold of server and tool is in ``fastmcp_private``
and below; anything unknown is not compiled. The differential test is ``test_compiled_fastmcp.py``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastmcp.server.context import Context
from fastmcp.server.transforms.visibility import get_session_transforms, is_enabled
from fastmcp.tools.base import ToolResult
from fastmcp.tools.function_tool import FunctionTool
from mcp.server.lowlevel.server import Server
from mcp.shared.inbound import x_mcp_header_map

from erlmcp.dispatch import fastmcp_private
from erlmcp.dispatch.compiled_answers import Shape, texts_of
from erlmcp.dispatch.compiled_tools import Answer, RequestId, Unwritten
from erlmcp.dispatch.guest import Guest
from erlmcp.dispatch.on_demand import OnDemand

_WRAPPED: Final = {"fastmcp": {"wrap_result": True}}
"""The ``_meta`` of a result that FastMCP has put under ``result``, since a schema must be of an object."""
_OWN_META: Final = "erlmcp/"


class FastMCPShapes:
    """How answers are written in one revision."""

    __slots__ = ("plain", "structured", "wrapped")

    def __init__(self, server: Server[Any], version: str) -> None:
        self.plain = Shape(server, version, structured=False, is_error=False)
        self.structured = Shape(server, version, structured=True, is_error=False)
        self.wrapped = Shape(server, version, structured=True, is_error=False, meta=_WRAPPED)


class CompiledFastMCPTool:
    """One tool."""

    __slots__ = ("_handler", "_parts", "_server", "tool")

    now: Final = None
    """FastMCP's own steps wait."""
    looks_at_request: Final = True
    """Any function may: FastMCP's contexts are found through context variables."""

    def __init__(self, tool: FunctionTool, guest: Guest) -> None:
        self.tool = tool
        self._server: Any = guest.found
        self._parts = _parts_of(tool)
        entry = guest.server.get_request_handler("tools/call")
        assert entry is not None, "found by tool_table"
        self._handler = entry.handler

    def is_current(self) -> bool:
        """Whether the tool still has the parts that were compiled."""
        return _parts_of(self.tool) == self._parts and is_enabled(self.tool)

    async def call(
        self,
        request_id: RequestId,
        arguments: dict[str, Any],
        shapes: FastMCPShapes,
        asked: OnDemand | None = None,
    ) -> Answer:
        """As ``Compiled.call``."""
        assert asked is not None, "looks_at_request"
        server = self._server
        with fastmcp_private.serving(server, fastmcp_private.LateRequestContext(asked)):
            async with Context(fastmcp=server) as context:
                if not asked.is_stateless and await get_session_transforms(context):
                    raise Unwritten(self._handler)  # this client has hidden or shown tools for itself
                outcome: ToolResult | Exception
                try:
                    outcome = await self.tool.run(arguments)
                except Exception as fault:  # noqa: BLE001 - whatever a tool raises is FastMCP's to tell
                    outcome = fault
        payload = _written(request_id, outcome, shapes)
        if payload is None:
            raise Unwritten(fastmcp_private.Ended(server, outcome).handle)
        return Answer(payload, False)


class FastMCPTools:
    """The tools of a ``FastMCP`` that need no kernel."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._table = fastmcp_private.tool_table(guest.found, guest.server)
        self._compiled: dict[str, CompiledFastMCPTool] = {}
        self._shapes: dict[str, FastMCPShapes] = {}

    def find(self, name: str) -> CompiledFastMCPTool | None:
        """The tool, if at this moment it can be called without the kernel."""
        table = self._table
        if table is None:
            return None
        if not table.is_plain():
            table = fastmcp_private.tool_table(self._guest.found, self._guest.server)
            if table is None:
                return None
            self._table = table
        tool = table.tool(name)
        if tool is None:
            return None
        found = self._compiled.get(name)
        if found is not None and found.tool is tool and found.is_current():
            return found
        return self._compile(name, tool)

    def shapes(self, version: str) -> FastMCPShapes:
        """How answers are written in a revision."""
        shapes = self._shapes.get(version)
        if shapes is None:
            shapes = self._shapes[version] = FastMCPShapes(self._guest.server, version)
        return shapes

    def _compile(self, name: str, tool: FunctionTool) -> CompiledFastMCPTool | None:
        self._compiled.pop(name, None)
        if not _wants_little(tool):
            return None
        found = self._compiled[name] = CompiledFastMCPTool(tool, self._guest)
        return found


def _parts_of(tool: FunctionTool) -> tuple[Any, ...]:
    """What the way to a tool depends on, as it is now; the way through it is FastMCP's own."""
    return (tool.name, tool.auth, id(tool.meta), id(tool.parameters), id(tool.task_config))


def _wants_little(tool: FunctionTool) -> bool:
    return (
        tool.auth is None
        and is_enabled(tool)
        and tool.task_config.mode == "forbidden"
        and not any(key.startswith(_OWN_META) for key in tool.meta or ())
        and not x_mcp_header_map(tool.parameters)
    )


def _written(request_id: RequestId, result: Any, shapes: FastMCPShapes) -> bytes | None:
    """The answer; None if only FastMCP knows how to tell it."""
    if type(result) is not ToolResult or fastmcp_private.is_raw(result):
        return None
    texts, structure, meta = texts_of(result.content), result.structured_content, result.meta
    if texts is None or result.is_error or (structure is not None and "_meta" in structure):
        return None
    try:
        if structure is None:
            return shapes.plain.of_texts(request_id, texts, None) if meta is None else None
        if meta is None:
            return shapes.structured.of_texts(request_id, texts, structure)
        return shapes.wrapped.of_texts(request_id, texts, structure) if meta == _WRAPPED else None
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
        return None
