"""The fixture server on FastMCP: the same fixtures as ``fixture_sdk``, as far as FastMCP offers them.

What it does not offer, and its allowances in ``legs`` therefore name:

- Changes of lists reach no ``subscriptions/listen`` stream, so its tools that change lists tell only clients
  of the handshake era.
- ``resources/subscribe`` and ``resources/unsubscribe``.
- Tasks come with a package of their own and its own worker; here tools are marked in their ``_meta`` as in
  ``fixture_sdk``, and whoever hosts the server makes tasks of their calls.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.prompts import Message
from fastmcp.tools import Tool
from fastmcp.utilities.types import Audio, Image
from mcp_types import (
    Completion,
    EmbeddedResource,
    ImageContent,
    PromptListChangedNotification,
    TextContent,
    TextResourceContents,
    ToolListChangedNotification,
)
from pydantic import Field

from conformance import material as m
from conformance import questions as q
from conformance.asking import AS_TASKS, ASKING, Rounds, with_context

server: FastMCP[Any] = FastMCP(
    m.NAME,
    version=m.VERSION,
    instructions="Fixtures of the official conformance suite.",
    dereference_schemas=False,
)


# -- content --


@server.tool(output_schema=None)
async def test_simple_text() -> str:
    """Answers with one text."""
    return m.SIMPLE_TEXT


async def json_schema_2020_12_tool(name: str = "") -> str:
    """Has an input schema with keywords of JSON Schema 2020-12."""
    return f"Hello, {name}!"


server.add_tool(
    Tool.from_function(json_schema_2020_12_tool, output_schema=None).model_copy(
        update={"parameters": m.SCHEMA_2020_12}
    )
)


@server.tool
async def test_image_content() -> Image:
    """Answers with one image."""
    return Image(data=m.PNG, format="png")


@server.tool
async def test_audio_content() -> Audio:
    """Answers with one sound."""
    return Audio(data=m.WAV, format="wav")


def _embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    contents = TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return EmbeddedResource(type="resource", resource=contents)


@server.tool(output_schema=None)
async def test_embedded_resource() -> EmbeddedResource:
    """Answers with a resource inside the result."""
    return _embedded(m.EMBEDDED_URI, "text/plain", m.EMBEDDED_TEXT)


@server.tool(output_schema=None)
async def test_multiple_content_types() -> list[Any]:
    """Answers with a text, an image and a resource."""
    return [
        TextContent(type="text", text=m.MIXED_TEXT),
        Image(data=m.PNG, format="png"),
        _embedded(m.MIXED_URI, "application/json", m.MIXED_JSON),
    ]


@server.tool(output_schema=None)
async def test_error_handling() -> str:
    """Always fails, on purpose."""
    raise ToolError(m.DELIBERATE_ERROR)


@server.tool(output_schema=None)
async def test_x_mcp_header(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "",  # noqa: PT028 - a tool
) -> str:
    """Has an argument that the client repeats in a header."""
    return f"Region: {region or 'none'}"


@server.tool(output_schema=None)
async def greet(name: str) -> str:
    """Answers at once, never as a task."""
    return f"Hello, {name}!"


# -- while a call runs --


@server.tool(output_schema=None)
async def test_tool_with_logging(ctx: Context) -> str:
    """Logs three times while it runs."""
    await ctx.info("Tool execution started")
    await asyncio.sleep(m.STEP_S)
    await ctx.info("Tool processing data")
    await asyncio.sleep(m.STEP_S)
    await ctx.info("Tool execution completed")
    return "Three messages were logged."


@server.tool(output_schema=None)
async def test_logging_tool(ctx: Context) -> str:
    """Tries to log; whether anybody hears it is the request's to say."""
    await ctx.info("Logged if it is wanted")
    return "One message was logged if it was wanted."


@server.tool(output_schema=None)
async def test_tool_with_progress(ctx: Context) -> str:
    """Reports its progress three times."""
    await ctx.report_progress(0, 100)
    await asyncio.sleep(m.STEP_S)
    await ctx.report_progress(50, 100)
    await asyncio.sleep(m.STEP_S)
    await ctx.report_progress(100, 100)
    return "Done in three steps."


@server.tool(output_schema=None)
async def test_reconnection(ctx: Context) -> str:
    """Closes the connection of its call; the client comes back for the rest."""
    await ctx.info("The connection closes now")
    await ctx.close_sse_stream()
    await asyncio.sleep(m.RECONNECT_AFTER_S)
    await ctx.info("The client should be back")
    return "Answered after the connection was closed."


async def _passing() -> str:
    """Is here only while the lists change."""
    return "Too late."


@server.tool(output_schema=None)
async def test_trigger_tool_change(ctx: Context) -> str:
    """Adds and removes a tool, and tells."""
    server.tool(_passing, name="test_passing_tool")
    server.local_provider.remove_tool("test_passing_tool")
    await ctx.send_notification(ToolListChangedNotification())
    return "The tools have changed."


@server.tool(output_schema=None)
async def test_trigger_prompt_change(ctx: Context) -> str:
    """Adds and removes a prompt, and tells."""
    server.prompt(_passing, name="test_passing_prompt")
    server.local_provider.remove_prompt("test_passing_prompt")
    await ctx.send_notification(PromptListChangedNotification())
    return "The prompts have changed."


# -- questions and tasks --

for _tool in ASKING:
    server.tool(with_context(_tool, Context), output_schema=None)
for _tool, _marked in AS_TASKS.items():
    server.tool(with_context(_tool, Context), output_schema=None, meta=_marked)


# -- resources, prompts, completion --


@server.resource(m.STATIC_TEXT_URI, name="static-text", description="A text", mime_type="text/plain")
async def static_text() -> str:
    """A text that never changes."""
    return m.STATIC_TEXT


@server.resource(m.STATIC_BINARY_URI, name="static-binary", description="An image", mime_type="image/png")
async def static_binary() -> bytes:
    """An image that never changes."""
    return m.PNG


@server.resource(m.WATCHED_URI, name="watched", description="A watched text", mime_type="text/plain")
async def watched() -> str:
    """A text that can be subscribed to."""
    return m.WATCHED_TEXT


@server.resource(m.TEMPLATE_URI, name="template", description="Data by id", mime_type="application/json")
async def template(id: str) -> str:  # noqa: A002 - the name of the variable in the template
    """Data of one id."""
    return m.template_text(id)


@server.prompt
async def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return m.PROMPT_TEXT


@server.prompt
async def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@server.prompt
async def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:  # noqa: N803 - the suite's name
    """A prompt that brings a resource with it."""
    return [
        Message(_embedded(resourceUri, "text/plain", m.PROMPT_RESOURCE_TEXT)),
        Message(m.PROMPT_RESOURCE_ASK),
    ]


@server.prompt
async def test_prompt_with_image() -> list[Message]:
    """A prompt that brings an image with it."""
    image = ImageContent(type="image", data=m.as_base64(m.PNG), mime_type="image/png")
    return [Message(image), Message(m.PROMPT_IMAGE_ASK)]


@server.prompt
async def test_input_required_result_prompt(ctx: Context) -> Rounds:
    """A prompt that asks for its context first."""
    context = q.name_in(ctx.input_responses, "user_context", "context")
    return f"In this context: {context}" if context else q.ask(user_context=q.CONTEXT_QUESTION)


@server.completion
async def complete(ref: Any, argument: Any, context: Any) -> Completion:  # noqa: ARG001 - FastMCP's signature
    """Completes every argument from the same two words."""
    words = [word for word in ("hello", "world") if word.startswith(argument.value)]
    return Completion(values=words, total=len(words), has_more=False)
