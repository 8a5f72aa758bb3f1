"""The guest of the full round on FastMCP. It announces no changed resources: FastMCP has no word for it."""

from typing import Any

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from mcp_types import AudioContent, ImageContent, TextContent, ToolListChangedNotification
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

server: FastMCP[Any] = FastMCP(NAME, version=VERSION, instructions=INSTRUCTIONS)
server.tool(add)
server.tool(measure)


async def notify_changed(ctx: Context) -> None:
    await ctx.send_notification(ToolListChangedNotification())


for tool in told_tools(Context, notify_changed) + asking_tools(Context):
    server.tool(tool, output_schema=None)


@server.tool(output_schema=None)
async def fail() -> str:
    """Fail on purpose."""
    raise ToolError("told to fail")


@server.tool(output_schema=None)
async def kinds() -> list[Any]:
    """One content block of each kind."""
    return [
        TextContent(type="text", text="a text"),
        ImageContent(type="image", data="aGk=", mime_type="image/png"),
        AudioContent(type="audio", data="aGk=", mime_type="audio/wav"),
    ]


@server.resource(NOTE_URI, mime_type="text/plain")
async def note() -> str:
    return "a note"


@server.resource(PICTURE_URI, mime_type="image/png")
async def picture() -> bytes:
    return PICTURE


@server.resource(TEMPLATE, mime_type="text/plain")
async def word(word: str) -> str:
    return f"the word {word}"


@server.prompt
async def greet(name: str, mood: str = "kind") -> str:
    """Greet somebody."""
    return f"Say something {mood} to {name}."


@server.completion
async def complete(ref: Any, argument: Any, context: Any) -> Any:
    return complete_word(ref, argument, context)
