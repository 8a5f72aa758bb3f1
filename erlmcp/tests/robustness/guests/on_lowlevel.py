"""The unruly guest without anything above the SDK's handlers: what they raise and return is the kernel's."""

import os
from typing import Any

from mcp.server import Server
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool
from misdeeds import EXITS, RETURNED, do_raise

NAMES = ("who", "raises", "returns", "returns_structure", "returns_raw", "exits")


async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
    return ListToolsResult(tools=[Tool(name=name, input_schema={"type": "object"}) for name in NAMES])


async def call_tool(_context: Any, params: Any) -> Any:
    kind = (params.arguments or {}).get("kind", "")
    match params.name:
        case "raises":
            do_raise(kind)
        case "exits":
            EXITS[kind]()
        case "returns":
            return CallToolResult(content=[TextContent(type="text", text=RETURNED[kind]())])
        case "returns_structure":
            return CallToolResult(content=[], structured_content={"value": RETURNED[kind]()})
        case "returns_raw":
            return RETURNED[kind]()
    return CallToolResult(content=[TextContent(type="text", text=str(os.getpid()))])


server = Server("unruly", on_list_tools=list_tools, on_call_tool=call_tool)
