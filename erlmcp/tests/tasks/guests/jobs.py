"""Tools for tasks, the same for both SDKs. Each guest registers them with its own kind of context."""

import asyncio
import os
import threading
from pathlib import Path

from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult

FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
OPTIONAL = {"erlmcp/task": "optional"}
REQUIRED = {"erlmcp/task": "required"}


async def plain() -> str:
    """Never a task."""
    await asyncio.sleep(0.3)
    return "plain"


async def who() -> str:
    """The process that serves this connection."""
    return str(os.getpid())


async def slow(seconds: float) -> str:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return f"by {os.getpid()}"


def thread(seconds: float) -> str:
    """Takes its time in a thread."""
    threading.Event().wait(seconds)
    return "threaded"


async def job(text: str = "done") -> str:
    """Ends at once, and is a task all the same."""
    return text


async def big(size: int) -> str:
    """A result of some size."""
    return "x" * size


async def broken() -> str:
    """Ends in a protocol error."""
    raise MCPError(-32055, "broken on purpose", {"why": "test"})


async def gives_up(seconds: float) -> str:
    """Cancels itself."""
    await asyncio.sleep(seconds)
    raise asyncio.CancelledError


async def failing() -> str:
    """Ends in an error of the tool."""
    raise ToolError("failed on purpose")


async def cancellable(path: str) -> str:
    """Leaves a file when it is cancelled."""
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        Path(path).write_text("cancelled")  # noqa: ASYNC240 - it is over anyway
        raise
    return "never"


async def _ask(ctx, message: str) -> str:
    answer = await ctx.session.elicit_form(message, FORM, related_request_id=ctx.request_id)
    return answer.content["name"] if answer.action == "accept" else answer.action


async def reports(ctx) -> str:
    """Reports progress before it is a task and after."""
    await ctx.report_progress(1, 2)
    await asyncio.sleep(0.3)
    await ctx.report_progress(2, 2)
    return "reported"


async def ask_one(ctx) -> str:
    """Asks while it runs."""
    return f"Hello, {await _ask(ctx, 'Who?')}"


async def ask_many(count: int, ctx) -> str:
    """Asks several things at the same time."""
    return " ".join(await asyncio.gather(*(_ask(ctx, f"Number {n}?") for n in range(count))))


def _form_answer(ctx, key: str) -> str | None:
    answer = (ctx.input_responses or {}).get(key)
    return answer.content["name"] if isinstance(answer, ElicitResult) and answer.content else None


def _question(state: str, key: str) -> InputRequiredResult:
    params = ElicitRequestFormParams(message=key, requested_schema=FORM)
    return InputRequiredResult(input_requests={key: ElicitRequest(params=params)}, request_state=state)


async def first_ask(ctx) -> str | InputRequiredResult:
    """Asks in a round of its own before it is a task."""
    name = _form_answer(ctx, "name")
    return _question("asked", "name") if name is None else f"{ctx.request_state} {name}"


async def late_rounds(ctx) -> str | InputRequiredResult:
    """Ends rounds with questions when it is a task already."""
    await asyncio.sleep(0.3)
    if ctx.request_state is None:
        return _question("one", "name")
    if ctx.request_state == "one":
        return _question(f"two {_form_answer(ctx, 'name')}", "name")
    return f"{ctx.request_state} {_form_answer(ctx, 'name')}"


NEVER = (plain, who)
MARKED = {
    slow: OPTIONAL,
    thread: OPTIONAL,
    job: REQUIRED,
    big: REQUIRED,
    broken: REQUIRED,
    failing: REQUIRED,
    gives_up: OPTIONAL,
    cancellable: OPTIONAL,
    reports: OPTIONAL,
    ask_one: REQUIRED,
    ask_many: REQUIRED,
    first_ask: REQUIRED,
    late_rounds: REQUIRED,
}


def register(server, context_type) -> None:
    """Put every tool into a server."""
    for tool, meta in {**dict.fromkeys(NEVER), **MARKED}.items():
        if "ctx" in tool.__code__.co_varnames[: tool.__code__.co_argcount]:
            tool.__annotations__["ctx"] = context_type
        server.tool(meta=meta)(tool)
