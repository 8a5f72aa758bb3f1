"""What is not compiled of a FastMCP, at any time: then all of FastMCP answers, and its answer is the same."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
from fastmcp import Context, FastMCP
from fastmcp.server.middleware import Middleware
from fastmcp.server.transforms import ToolTransform
from fastmcp.tools.function_tool import FunctionTool
from fastmcp.tools.tool_transform import ToolTransformConfig
from mcp_types import TextContent
from pydantic import Field

MODERN, SESSION = "2026-07-28", "2025-11-25"


async def add(a: int, b: int = 1) -> int:
    return a + b


def says(text: str) -> Any:
    async def tool() -> str:
        return text

    return tool


async def ask(bench: Any, name: str = "tool", version: str = MODERN, **arguments: Any) -> Any:
    return (await bench.call(1, name, arguments, version, chunked=False))[1]


def text_of(answer: Any) -> str:
    return answer["result"]["content"][0]["text"]


class Shouting(Middleware):
    async def on_call_tool(self, context: Any, call_next: Any) -> Any:
        result = await call_next(context)
        result.content = [TextContent(type="text", text="shouted")]
        return result


@contextmanager
def appended(items: list[Any], item: Any) -> Any:
    items.append(item)
    try:
        yield
    finally:
        items.remove(item)


@contextmanager
def set_to(thing: Any, name: str, value: Any) -> Any:
    before = getattr(thing, name)
    setattr(thing, name, value)
    try:
        yield
    finally:
        setattr(thing, name, before)


@contextmanager
def logged(name: str, level: int) -> Any:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def overridden(server: Any) -> Any:
    async def call_tool(name: str, arguments: Any = None, **options: Any) -> Any:
        return await FastMCP.call_tool(server, name, arguments, **options)

    server.call_tool = call_tool
    try:
        yield
    finally:
        del server.call_tool


BETWEEN = {
    "middleware": lambda server: appended(server.middleware, Shouting()),
    "a transform of the server": lambda server: appended(
        server._transforms, ToolTransform({"tool": ToolTransformConfig(name="renamed")})
    ),
    "a transform of the provider": lambda server: appended(
        server.local_provider._transforms, ToolTransform({"tool": ToolTransformConfig(name="renamed")})
    ),
    "another provider": lambda server: appended(server.providers, FastMCP("other").local_provider),
    "an overridden step": overridden,
    "its debug log": lambda _: logged("fastmcp.server.mixins.mcp_operations", logging.DEBUG),
    "a middleware of the SDK": lambda server: appended(server._mcp_server.middleware, _pass_on),
}


async def _pass_on(context: Any, call_next: Any) -> Any:
    return await call_next(context)


@pytest.mark.parametrize("what", BETWEEN)
def test_what_is_put_between_a_call_and_its_tool_at_any_time_is_taken(fast_bench, loop, what):
    bench = fast_bench

    async def compare() -> None:
        async with bench.offered(add):
            assert text_of(await ask(bench, a=1)) == "2"
            assert bench.compiled == 1
            with BETWEEN[what](bench.server):
                compiled, kernel = await bench.both(1, "tool", {"a": 1}, MODERN)
                assert compiled == kernel
                assert bench.compiled == 1
            assert text_of(await ask(bench, a=1)) == "2"
            assert bench.compiled == 2

    loop.run(compare())


def test_a_tool_changed_removed_or_shadowed_while_it_is_served_is_not_called_as_it_was(fast_bench, loop):
    bench = fast_bench

    async def change() -> None:
        async with bench.offered(says("first")):
            assert text_of(await ask(bench)) == "first"
            tool = await bench.server.get_tool("tool")
            tool.fn = says("second")
            assert text_of(await ask(bench)) == "second"
        compiled, kernel = await bench.both(1, "tool", {}, MODERN)
        assert compiled == kernel
        assert "Unknown tool" in text_of(compiled[1])
        async with bench.offered(says("third"), version="1"):
            assert text_of(await ask(bench)) == "third"
            before = bench.compiled
            newer = FunctionTool.from_function(says("newer"), name="tool", version="2")
            bench.server.add_tool(newer)
            assert text_of(await ask(bench)) == "newer"
            assert bench.compiled == before
            bench.server.local_provider.remove_tool("tool", version="2")
            assert text_of(await ask(bench)) == "third"

    loop.run(change())


def test_a_tool_that_is_hidden_from_everybody_is_not_found(fast_bench, loop):
    bench = fast_bench

    async def change() -> None:
        async with bench.offered(add):
            assert text_of(await ask(bench, a=1)) == "2"
            bench.server.disable(names={"tool"})
            try:
                assert "Unknown tool" in text_of(await ask(bench, a=1))
            finally:
                bench.server._transforms.clear()
            assert text_of(await ask(bench, a=1)) == "2"

    loop.run(change())


def test_a_tool_that_a_client_hides_from_itself_is_not_found_in_its_session_only(fast_bench, loop):
    bench = fast_bench

    async def hide(ctx: Context) -> str:
        await ctx.disable_components(names={"tool"})
        return "hidden"

    async def change() -> None:
        async with bench.offered(hide, "hide"), bench.offered(add):
            assert text_of(await ask(bench, version=SESSION, a=1)) == "2"
            await bench.call(1, "hide", {}, SESSION, chunked=True)
            compiled, kernel = await bench.both(1, "tool", {"a": 1}, SESSION)
            assert compiled == kernel
            assert "Unknown tool" in text_of(compiled[1])
            bench.sessions.clear()  # another client
            assert text_of(await ask(bench, version=SESSION, a=1)) == "2"

    loop.run(change())


def _mirrored(a: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    return a


@pytest.mark.parametrize(
    ("tool", "options"),
    [
        (_mirrored, {}),
        (says("x"), {"meta": {"erlmcp/task": "optional"}}),
        (says("x"), {"auth": lambda _: True}),
        (says("x"), {"version": "1"}),
    ],
)
def test_a_tool_that_wants_more_than_its_request_keeps_the_kernel(fast_bench, loop, tool, options):
    bench = fast_bench

    async def compare() -> None:
        async with bench.offered(tool, **options):
            compiled, kernel = await bench.both(1, "tool", {"a": "1"}, MODERN)
            assert compiled == kernel

    loop.run(compare())
    assert bench.compiled == (1 if "version" in options else 0)


@pytest.mark.parametrize("failure", [RuntimeError("secret"), ValueError("no"), TimeoutError()], ids=repr)
def test_a_failure_is_hidden_and_logged_in_the_words_of_fastmcp(fast_bench, loop, failure):
    bench, heard = fast_bench, list[logging.LogRecord]()

    async def fails() -> str:
        raise failure

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record)

    async def compare() -> None:
        async with bench.offered(fails):
            with set_to(bench.server, "_mask_error_details", True):
                compiled, kernel = await bench.both(1, "tool", {}, MODERN)
                assert compiled == kernel
                assert "secret" not in str(compiled)

    logger, ear = logging.getLogger("fastmcp.server.server"), Ear()
    with appended(logger.handlers, ear), logged(logger.name, logging.INFO):
        loop.run(compare())
    assert bench.compiled == 1
    compiled, kernel = heard
    assert (compiled.levelname, compiled.getMessage()) == (kernel.levelname, kernel.getMessage())
    assert bool(compiled.exc_info) == bool(kernel.exc_info)
