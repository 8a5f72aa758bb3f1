"""The guest of the full round on the official SDK.

``MCPServer`` takes no handler for ``logging/setLevel``, so middleware answers and declares it. It filters
nothing: that a client hears no more than it wants is left to whoever serves the guest.
"""

from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import AudioContent, EmptyResult, ImageContent, TextContent
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from round_tools import (
    INSTRUCTIONS,
    NAME,
    NOTE_URI,
    PICTURE,
    PICTURE_URI,
    TEMPLATE,
    VERSION,
    add,
    asking_tools,
    complete_word,
    measure,
    told_tools,
)


async def logging_level(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    if ctx.protocol_version not in HANDSHAKE_PROTOCOL_VERSIONS:
        return await call_next(ctx)
    if ctx.method == "logging/setLevel":
        return EmptyResult()
    result = await call_next(ctx)
    if ctx.method == "initialize" and isinstance(result, dict):
        result["capabilities"]["logging"] = {}
    return result


server = MCPServer(NAME, version=VERSION, instructions=INSTRUCTIONS, middleware=[logging_level])
server.add_tool(add)
server.add_tool(measure)


async def notify_changed(ctx: Context) -> None:
    await ctx.notify_tools_changed()


for tool in told_tools(Context, notify_changed) + asking_tools(Context):
    server.add_tool(tool, structured_output=False)


@server.tool(structured_output=False)
async def fail() -> str:
    """Fail on purpose."""
    raise ToolError("told to fail")


@server.tool(structured_output=False)
async def kinds() -> list[Any]:
    """One content block of each kind."""
    return [
        TextContent(type="text", text="a text"),
        ImageContent(type="image", data="aGk=", mime_type="image/png"),
        AudioContent(type="audio", data="aGk=", mime_type="audio/wav"),
    ]


@server.tool(structured_output=False)
async def touch(uri: str, ctx: Context) -> str:
    """Tell that a resource has changed."""
    await ctx.notify_resource_updated(uri)
    return "touched"


@server.resource(NOTE_URI, mime_type="text/plain")
async def note() -> str:
    return "a note"


@server.resource(PICTURE_URI, mime_type="image/png")
async def picture() -> bytes:
    return PICTURE


@server.resource(TEMPLATE, mime_type="text/plain")
async def word(word: str) -> str:
    return f"the word {word}"


@server.prompt()
async def greet(name: str, mood: str = "kind") -> str:
    """Greet somebody."""
    return f"Say something {mood} to {name}."


@server.completion()
async def complete(ref: Any, argument: Any, context: Any) -> Any:
    return complete_word(ref, argument, context)
