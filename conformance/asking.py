"""The tools that ask their client something, and those that run as tasks: the same for both fixtures.

Plain functions, registered by ``fixture_sdk`` and ``fixture_fastmcp``; they use what the two kinds of context
have alike. Three ways to ask, as the eras have it: a request while the call runs (handshake), a result that
ends the round (modern), and a question of a running task, which is asked like the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import FunctionType
from typing import Annotated, Any, Final

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, MISSING_REQUIRED_CLIENT_CAPABILITY, InputRequiredResult
from pydantic import Field

from conformance import material as m
from conformance import questions as q

# -- questions of the handshake era --


async def test_sampling(prompt: str, ctx: Context) -> str:
    """Asks the client's model."""
    answer = await ctx.session.create_message(
        [q.user_says(prompt)], max_tokens=100, related_request_id=ctx.request_id
    )
    return f"LLM response: {q.text_of(answer)}"


async def _elicit(ctx: Context, message: str, schema: q.Schema) -> str:
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={answer.action}, content={answer.content}"


async def test_elicitation(message: str, ctx: Context) -> str:
    """Asks the user."""
    return f"User response: {await _elicit(ctx, message, q.ANSWER_FORM)}"


async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Asks the user with a form that has a default of each type."""
    answer = await _elicit(ctx, "Review the defaults, or change them", q.DEFAULTS_FORM)
    return f"Elicitation completed: {answer}"


async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Asks the user with a form that has each kind of choice."""
    answer = await _elicit(ctx, "Choose one or several of each", q.ENUMS_FORM)
    return f"Elicitation completed: {answer}"


# -- rounds of the modern era --

Rounds = str | InputRequiredResult


async def test_input_required_result_elicitation(ctx: Context) -> Rounds:
    """Asks for a name first."""
    name = q.name_in(ctx.input_responses)
    return f"Hello, {name}!" if name else q.ask(user_name=q.NAME_QUESTION)


async def test_streaming_elicitation(ctx: Context) -> Rounds:
    """Reports progress and then asks for a name."""
    await ctx.report_progress(50, 100)
    name = q.name_in(ctx.input_responses)
    return f"Hello, {name}!" if name else q.ask(user_name=q.NAME_QUESTION)


async def test_input_required_result_sampling(ctx: Context) -> Rounds:
    """Asks the client's model first."""
    said = q.sampled_text(ctx.input_responses, "capital_question")
    return f"The model said: {said}" if said else q.ask(capital_question=q.CAPITAL_QUESTION)


async def test_input_required_result_list_roots(ctx: Context) -> Rounds:
    """Asks for the client's roots first."""
    roots = q.roots_in(ctx.input_responses, "client_roots")
    return q.ask(client_roots=q.ROOTS_QUESTION) if roots is None else f"Roots: {', '.join(roots)}"


async def test_input_required_result_request_state(ctx: Context) -> Rounds:
    """Asks for a confirmation and remembers that it did."""
    if ctx.request_state == "asked" and q.filled_in(ctx.input_responses, "confirm", "ok") is not None:
        return "state-ok"
    return q.ask("asked", confirm=q.CONFIRMATION)


async def test_input_required_result_tampered_state(ctx: Context) -> Rounds:
    """As before; the suite comes back with a state that was changed on the way."""
    if ctx.request_state == "asked":
        return "state-ok"
    return q.ask("asked", confirm=q.CONFIRMATION)


async def test_input_required_result_multiple_inputs(ctx: Context) -> Rounds:
    """Asks three things at once."""
    name = q.name_in(ctx.input_responses)
    greeting = q.sampled_text(ctx.input_responses, "greeting")
    roots = q.roots_in(ctx.input_responses, "client_roots")
    if name and greeting and roots is not None:
        return f"{greeting} {name}, with {len(roots)} roots"
    return q.ask(
        "three", user_name=q.NAME_QUESTION, greeting=q.GREETING_QUESTION, client_roots=q.ROOTS_QUESTION
    )


async def test_input_required_result_multi_round(ctx: Context) -> Rounds:
    """Asks for a name, then for a colour."""
    step, _, name = (ctx.request_state or "").partition(":")
    if step == "color" and (color := q.name_in(ctx.input_responses, "step2", "color")):
        return f"{name} likes {color}"
    if step == "name" and (given := q.name_in(ctx.input_responses, "step1")):
        return q.ask(f"color:{given}", step2=q.STEP_2)
    return q.ask(f"color:{name}", step2=q.STEP_2) if step == "color" else q.ask("name:", step1=q.STEP_1)


async def test_input_required_result_capabilities(ctx: Context) -> Rounds:
    """Asks only what this client can answer."""
    can = ctx.session.client_capabilities
    if ctx.input_responses or can is None:
        return "No more questions."
    wanted: dict[str, Any] = {}
    if can.elicitation is not None:
        wanted["user_name"] = q.NAME_QUESTION
    if can.sampling is not None:
        wanted["greeting"] = q.GREETING_QUESTION
    if can.roots is not None:
        wanted["client_roots"] = q.ROOTS_QUESTION
    return q.ask(**wanted) if wanted else "Nothing that this client could answer."


async def test_missing_capability(ctx: Context) -> str:
    """Needs a client that can sample."""
    can = ctx.session.client_capabilities
    if can is None or can.sampling is None:
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            "This tool needs a client that can sample",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return "The client can sample."


# -- tasks --


async def slow_compute(
    seconds: Annotated[float, Field(ge=0, le=m.LONGEST_SLEEP_S)] = 0, label: str = "work"
) -> str:
    """Takes as long as it is told."""
    await asyncio.sleep(seconds)
    return f"{label}: done after {seconds:g} s"


async def failing_job(ctx: Context) -> str:
    """Works for a second and fails."""
    can = ctx.session.client_capabilities
    if can is None or m.TASKS not in (can.extensions or {}):
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            "This tool runs as a task only",
            {"requiredCapabilities": {"extensions": {m.TASKS: {}}}},
        )
    await asyncio.sleep(m.FAILING_JOB_S)
    raise ToolError("The job failed, as it always does")


async def protocol_error_job() -> str:
    """Ends in a protocol error."""
    raise MCPError(INTERNAL_ERROR, "The job broke the protocol, as it always does")


async def confirm_delete(filename: str, ctx: Context) -> str:
    """Asks once, while it runs."""
    return f"{filename}: {await _elicit(ctx, f'Delete {filename}?', q.CONFIRM_FORM)}"


async def multi_input(ctx: Context) -> str:
    """Asks two things at the same time, while it runs."""
    answers = await asyncio.gather(
        _elicit(ctx, "Is the first part right?", q.CONFIRM_FORM),
        _elicit(ctx, "And the second?", q.CONFIRM_FORM),
    )
    return "; ".join(answers)


async def test_tool_with_task(ctx: Context) -> Rounds:
    """Asks for a name in a round of its own, and only then becomes a task."""
    name = q.name_in(ctx.input_responses)
    if name is None:
        return q.ask(user_name=q.NAME_QUESTION)
    await asyncio.sleep(m.STEP_S)
    return f"The task was done for {name}."


ASKING: Final[tuple[Callable[..., Any], ...]] = (
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_input_required_result_elicitation,
    test_streaming_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_tampered_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
    test_missing_capability,
)

AS_TASKS: Final[dict[Callable[..., Any], dict[str, Any]]] = {
    slow_compute: m.TASK_OPTIONAL,
    failing_job: m.TASK_REQUIRED,
    protocol_error_job: m.TASK_REQUIRED,
    confirm_delete: m.TASK_REQUIRED,
    multi_input: m.TASK_REQUIRED,
    test_tool_with_task: m.TASK_REQUIRED,
}


def with_context(function: Callable[..., Any], context_type: type[Any]) -> Callable[..., Any]:
    """The same tool for another kind of context: both SDKs find the parameter by its annotation."""
    if "ctx" not in function.__annotations__:
        return function
    bound = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    bound.__annotations__ = {**function.__annotations__, "ctx": context_type}
    bound.__doc__ = function.__doc__
    return bound
