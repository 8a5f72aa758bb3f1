"""What the two guests of the full round offer, written once: they differ in the SDK they stand on.

``tools_for`` gives plain functions whose context parameter has the type of that SDK; both find it by its
annotation. What the SDKs spell differently is passed in.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mcp_types import (
    Completion,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel

NAME, VERSION = "full-round", "3.2.1"
INSTRUCTIONS = "Everything that a client can ask for."
NOTE_URI, PICTURE_URI, TEMPLATE = "round://note", "round://picture", "round://word/{word}"
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
WORDS = ["tea", "teapot", "water"]
PAUSE_S = 0.05
"""Between a notification and what follows it: the TypeScript SDKs forget whom to tell of progress when the
answer comes in the same read (their issue 2580), which a server cannot help on a shared stream."""

Rounds = str | InputRequiredResult


class Measure(BaseModel):
    """A structured result."""

    text: str
    size: int


def _says(text: str) -> SamplingMessage:
    return SamplingMessage(role="user", content=TextContent(type="text", text=text))


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def measure(text: str) -> Measure:
    """Tell the size of a text."""
    return Measure(text=text, size=len(text))


def note_fate(path: str, fate: str) -> None:
    """Write down what became of a call, for the test to read: the next call may be at another worker."""
    Path(path).write_text(fate)


def complete_word(ref: Any, argument: Any, context: Any) -> Completion:
    """Complete any argument."""
    values = [word for word in WORDS if word.startswith(argument.value)]
    return Completion(values=values, total=len(values), has_more=False)


def told_tools(context_type: type, notify_changed: Callable[[Any], Awaitable[None]]) -> list[Callable]:
    """Tools that tell something while they run."""

    async def steps(ctx: context_type) -> str:
        """Report progress three times."""
        for step in (1, 2, 3):
            await ctx.report_progress(step, 3, f"step {step}")
            await asyncio.sleep(PAUSE_S)
        return "three steps"

    async def linger(path: str, ctx: context_type) -> str:
        """Say that it has begun, and run until it is cancelled; its fate is written to a file."""
        note_fate(path, "begun")
        await ctx.report_progress(1, 2, "begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            note_fate(path, "cancelled")
            raise
        return "never"

    async def chatter(ctx: context_type) -> str:
        """Log at four levels."""
        await ctx.debug("a detail")
        await ctx.info("some news")
        await ctx.warning("a warning")
        await ctx.error("an error")
        return "four lines"

    async def come_back(ctx: context_type) -> str:
        """Let go of the client in the middle of the call."""
        await ctx.report_progress(1, 2, "going")
        await ctx.close_sse_stream()
        await asyncio.sleep(PAUSE_S)  # the client is away, and what follows is kept for it
        await ctx.report_progress(2, 2, "back")
        await asyncio.sleep(PAUSE_S)
        return "all told"

    async def grow(ctx: context_type) -> str:
        """Tell that the tools have changed."""
        await notify_changed(ctx)
        return "grown"

    return [steps, linger, chatter, come_back, grow]


def asking_tools(context_type: type) -> list[Callable]:
    """Tools that ask the client: by a request of their own, or by a round of the modern era."""

    async def ask_person(ctx: context_type) -> str:
        """Ask the person, handshake era."""
        answer = await ctx.session.elicit_form("Who are you?", FORM, related_request_id=ctx.request_id)
        return f"{answer.action} {(answer.content or {}).get('name')}"

    async def ask_model(ctx: context_type) -> str:
        """Ask the model, handshake era."""
        answer = await ctx.session.create_message(
            [_says("Say hello")], max_tokens=10, related_request_id=ctx.request_id
        )
        return answer.content.text

    async def ask_roots(ctx: context_type) -> str:
        """Ask for the roots, handshake era."""
        answer = await ctx.session.list_roots()
        return " ".join(str(root.uri) for root in answer.roots)

    async def round_person(ctx: context_type) -> Rounds:
        """Ask the person, modern era."""
        answer = (ctx.input_responses or {}).get("who")
        if answer is not None:
            return f"{answer.action} {(answer.content or {}).get('name')}"
        params = ElicitRequestFormParams(message="Who are you?", requested_schema=FORM)
        return InputRequiredResult(input_requests={"who": ElicitRequest(params=params)})

    async def round_model(ctx: context_type) -> Rounds:
        """Ask the model, modern era."""
        answer = (ctx.input_responses or {}).get("hello")
        if answer is not None:
            return answer.content.text
        params = CreateMessageRequestParams(messages=[_says("Say hello")], max_tokens=10)
        return InputRequiredResult(input_requests={"hello": CreateMessageRequest(params=params)})

    async def round_roots(ctx: context_type) -> Rounds:
        """Ask for the roots, modern era."""
        answer = (ctx.input_responses or {}).get("roots")
        if answer is not None:
            return " ".join(str(root.uri) for root in answer.roots)
        return InputRequiredResult(input_requests={"roots": ListRootsRequest()})

    return [ask_person, ask_model, ask_roots, round_person, round_model, round_roots]
