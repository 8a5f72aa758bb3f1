"""A compiled call and the kernel give the same answer, for any tool, argument, era and failure.

Each request is sent three times: twice in the form that is compiled, so that the second can be answered at
once, then in chunks, a form whose head is never known and which therefore always takes the kernel.
Nothing in the answers may differ.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import fastmcp.server.dependencies
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    EmbeddedResource,
    InputRequiredResult,
    TextContent,
    TextResourceContents,
)
from pydantic import AfterValidator, BaseModel, Field
from typing_extensions import TypedDict

MODERN = "2026-07-28"
MCPSERVER = "MCPServer"
HANDSHAKES = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")


class Point(BaseModel):
    x: int
    label: str = Field("origin", alias="theLabel")


class Row(TypedDict):
    key: str
    value: int | None


@dataclass
class Pair:
    left: int
    right: str | None = None


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def _not_seven(value: int) -> int:
    if value == 7:
        raise ValueError("seven")
    if value == 8:
        raise RuntimeError("a validator crashed")
    return value


TYPES: list[Any] = [
    int, str, float, bool, bytes, Any, date, datetime, UUID, Decimal, Colour, Point, Pair, Row, None,
    list[int], list[str], dict[str, int], set[int], tuple[int, str], int | None, str | int, list[Point],
    Literal["a", 1], Annotated[int, Field(ge=0, le=10)], Annotated[str, Field(min_length=2)],
    Annotated[int, AfterValidator(_not_seven)], Annotated[int, Field(strict=True)],
]  # fmt: skip

RESOURCE = TextResourceContents(uri="x://y", text="t")
RESULTS: list[tuple[Any, Any]] = [
    (int, 5), (int, -(2**60)), (int, True), (int, "12"), (int, "no number"), (int, 2**70), (str, "plain"),
    (str, 'quo"te\n\u20ac\U0001f600\x00'), (str, ""), (str, "\ud800"), (str, 5), (bool, False), (float, 1.5),
    (float, float("nan")), (float, float("inf")), (float, 3), (None, None), (bytes, b"raw"), (bytes, b"\xff"),
    (list[int], [1, 2, 3]), (list[int], []), (list[int], ["1", 2]), (list[str], ["a", "b"]),
    (dict[str, int], {"a": 1}), (dict[str, Any], {"a": None, "b": [None, {"c": None}]}),
    (dict[int, str], {1: "a"}), (int | None, None), (int | str, "x"), (tuple[int, str], (1, "a")),
    (Point, Point(x=1, theLabel="l")), (Point, {"x": "3"}), (Point, {"x": None}),
    (Row, {"key": "k", "value": None}),
    (Pair, Pair(1)), (Pair, Pair(1, "r")), (list[Point], [Point(x=1)]),
    (datetime, datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
    (date, date(2026, 1, 2)), (Decimal, Decimal("1.10")), (Colour, Colour.RED), (set[int], {1}),
    (inspect.Parameter.empty, {"a": 1}), (inspect.Parameter.empty, "text"), (inspect.Parameter.empty, None),
    (inspect.Parameter.empty, [1, "a", None, ["b"]]),
    (inspect.Parameter.empty, object), (Any, {"a": Colour.RED}),
    (TextContent, TextContent(type="text", text="block")),
    (inspect.Parameter.empty, Image(data=b"png", format="png")),
    (list[TextContent], [TextContent(type="text", text="one")]),
    (list[TextContent], [TextContent(type="text", text="two", _meta={"k": 1})]),
    (inspect.Parameter.empty, ["text", Image(data=b"x", format="png"), 3]),
    (EmbeddedResource, EmbeddedResource(type="resource", resource=RESOURCE)),
    (CallToolResult, CallToolResult(content=[TextContent(type="text", text="own")], is_error=True)),
    (CallToolResult, CallToolResult(content=[], structured_content={"w": date(2026, 1, 1)}, _meta={"m": 1})),
    (Annotated[CallToolResult, Point], CallToolResult(content=[], structured_content={"x": "no"})),
    (inspect.Parameter.empty, InputRequiredResult(request_state="state", input_requests={
        "ask": ElicitRequest(params=ElicitRequestFormParams(message="?", requested_schema={
            "type": "object", "properties": {"a": {"type": "string"}}}))})),
    (int, ToolError("the tool says no")), (int, ToolError('with "quotes" \ud800')),
    (int, ResourceError("gone")),
    (int, RuntimeError("secret")), (int, MCPError(code=-32000, message="protocol", data={"a": 1})),
    (int, MCPError(code=-32602, message="bad")), (int, UrlElicitationRequiredError([])), (int, KeyError("k")),
    (int, ExceptionGroup("many", [ValueError("a")])), (int, TimeoutError()), (int, RecursionError()),
]  # fmt: skip

JSON_TEXTS = ["[1, 2]", '{"x": 1}', "null", "5", "2026-01-02", "red", "true", "7", "1.5", '{"x"', "[" * 8]
MEMBERS = ["x", "key", "value", "left", "theLabel", "label"]
NAMES = ["a", "b", "model_x", "schema", "copy", "json", "self_"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.sampled_from(JSON_TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
names = st.lists(st.sampled_from(NAMES), max_size=3, unique=True)
signatures = names.flatmap(
    lambda chosen: st.tuples(
        *(st.tuples(st.just(name), st.sampled_from(TYPES), st.booleans()) for name in chosen)
    )
)
ids = st.integers(-(2**63) + 1, 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


SYNC, WAITS, NEVER_WAITS, WITH_CONTEXT = KINDS = ("in a thread", "waits", "never waits", "with context")


def make_tool(
    bench: Any, parameters: Any, annotation: Any, outcome: Any, *, kind: str, heard: list[Any]
) -> Any:
    """A function with such a signature, which notes what it was called with."""

    def answer(keywords: dict[str, Any]) -> Any:
        heard.append(repr(keywords))
        if bench.framework == "FastMCP":
            heard.append(seen_by_any_function())
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def waits(**keywords: Any) -> Any:
        await asyncio.sleep(0)
        return answer(keywords)

    async def never_waits(**keywords: Any) -> Any:
        return answer(keywords)

    def in_a_thread(**keywords: Any) -> Any:
        return answer(keywords)

    async def with_context(**keywords: Any) -> Any:
        context = keywords.pop("ctx")
        if bench.framework == "MCPServer":
            heard.append(told(context))
        return answer(keywords)

    tool: Any = {SYNC: in_a_thread, WAITS: waits, NEVER_WAITS: never_waits, WITH_CONTEXT: with_context}[kind]
    keyword = inspect.Parameter.KEYWORD_ONLY
    if kind == WITH_CONTEXT:
        parameters = (*parameters, ("ctx", bench.context_type, False))
    tool.__signature__ = inspect.Signature(
        [
            inspect.Parameter(name, keyword, annotation=kind, **({"default": None} if optional else {}))
            for name, kind, optional in parameters
        ],
        return_annotation=annotation,
    )
    tool.__annotations__ = {name: kind for name, kind, _ in parameters}
    if annotation is not inspect.Parameter.empty:
        tool.__annotations__["return"] = annotation
    return tool


def told(context: Context[Any, Any]) -> str:
    """All that a tool can learn from its context without asking the client."""
    request = context.request_context
    session = request.session
    facts = (
        context.request_id, context.input_responses, context.request_state, context.mcp_server is not None,
        request.method, request.params, request.meta, request.protocol_version, request.lifespan_context,
        dict(request.request.headers).keys() - {"content-length", "transfer-encoding"},
        request.close_sse_stream is None, request.close_standalone_sse_stream is None,
        session.client_params, session.protocol_version,
    )  # fmt: skip
    return repr(facts)


def seen_by_any_function() -> str:
    """All that a function can learn from FastMCP without asking the client."""
    context = fastmcp.server.dependencies.get_context()
    request = context.request_context
    facts = (
        context.request_id, context.transport, context.is_background_task, context.lifespan_context,
        context.input_responses, context.request_state, context.fastmcp is not None, context._request_state,
        request.meta, request.protocol_version, request.close_sse_stream is None, request._srctx.params,
        request.session.client_params, isinstance(request, fastmcp.server.dependencies.FastMCPRequestContext),
        fastmcp.server.dependencies.get_http_headers(include_all=True).keys()
        - {"content-length", "transfer-encoding"},
        fastmcp.server.dependencies.get_access_token(), fastmcp.server.dependencies._is_client_tool_call(),
        fastmcp.server.dependencies.get_server() is context.fastmcp,
        None if request.protocol_version == MODERN else context.session_id,
    )  # fmt: skip
    return repr(facts)


def same(compiled: Any, kernel: Any) -> None:
    """Equal, but for what is sealed afresh each time."""
    for _, answer in (compiled, kernel):
        if "requestState" in answer.get("result", {}):
            answer["result"]["requestState"] = "sealed"
    assert compiled == kernel
    assert [type(v) for v in _leaves(compiled[1])] == [type(v) for v in _leaves(kernel[1])]  # 1 is not 1.0


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in _leaves(value[key])]
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parameters=signatures,
    result=st.sampled_from(RESULTS),
    arguments=st.dictionaries(st.sampled_from([*NAMES, "other"]), json_values, max_size=4),
    version=st.sampled_from((MODERN, *HANDSHAKES)),
    structured=st.sampled_from([None, None, False]),
    kind=st.sampled_from(KINDS),
    request_id=ids,
)  # fmt: skip
@example((("a", int, False),), (int, 5), {"a": "[1]"}, MODERN, None, NEVER_WAITS, 1)
@example((("a", str, False),), (str, "x"), {"a": '{"x": 1}'}, MODERN, None, WAITS, "id")
def test_any_tool_answers_as_the_kernel_lets_it_answer(
    any_bench, loop, parameters, result, arguments, version, structured, kind, request_id
):
    bench, heard = any_bench, list[Any]()
    tool = make_tool(bench, parameters, *result, kind=kind, heard=heard)

    async def compare() -> None:
        async with bench.offered(tool, structured_output=structured):
            before, before_at_once = bench.compiled, bench.at_once
            compiled, again, kernel = await bench.all_ways(request_id, "tool", arguments, version)
            assert bench.compiled == before + 2
            assert (bench.at_once > before_at_once) == (kind == NEVER_WAITS and bench.framework == MCPSERVER)
            same(compiled, kernel)
            same(again, kernel)

    loop.run(compare())
    third = len(heard) // 3
    assert heard == heard[:third] * 3


@pytest.mark.parametrize("version", [MODERN, *HANDSHAKES])
@pytest.mark.parametrize(
    "result", RESULTS, ids=lambda pair: repr(pair[1])[:30].encode("ascii", "replace").decode()
)
@pytest.mark.parametrize("kind", [WAITS, NEVER_WAITS, WITH_CONTEXT])
def test_each_kind_of_result_is_the_same_in_each_revision(any_bench, loop, result, version, kind):
    bench = any_bench
    tool = make_tool(bench, (("a", int, True),), *result, kind=kind, heard=[])

    async def compare() -> None:
        async with bench.offered(tool):
            for request_id, argument in ((7, 3), ("seven", "no number")):
                compiled, again, kernel = await bench.all_ways(request_id, "tool", {"a": argument}, version)
                same(compiled, kernel)
                same(again, kernel)

    loop.run(compare())
    at_once = kind == NEVER_WAITS and bench.framework == MCPSERVER
    assert (bench.compiled, bench.at_once) == (4, 2 if at_once else 0)


@pytest.mark.parametrize(
    "failure", [ToolError("no"), RuntimeError("secret"), ResourceError("gone"), None], ids=repr
)
def test_a_failed_call_is_logged_in_the_words_of_the_sdk(bench, loop, caplog, failure):
    tool = make_tool(bench, (("a", int, False),), int, failure or 1, kind=NEVER_WAITS, heard=[])
    caplog.set_level(logging.INFO, logger="mcp")

    async def compare() -> None:
        async with bench.offered(tool):
            await bench.all_ways(1, "tool", {"a": 1} if failure else {"a": "x"}, MODERN)

    loop.run(compare())
    compiled, again, kernel = [r for r in caplog.records if r.name == "mcp.server.mcpserver.server"]
    for each in (compiled, again):
        assert (each.levelname, each.getMessage()) == (kernel.levelname, kernel.getMessage())
        assert bool(each.exc_info) == bool(kernel.exc_info)
