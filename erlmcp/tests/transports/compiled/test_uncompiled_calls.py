"""What is not compiled, although it looks like it: then the kernel answers, and its answer is the same."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from mcp.server.mcpserver import Context, MCPServer, Resolve
from mcp_types import CallToolResult, TextContent
from pydantic import Field

MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}


def says(text: str) -> Any:
    async def tool() -> str:
        return text

    return tool


def add(a: int, b: int = 1) -> int:
    return a + b


def test_a_tool_changed_or_removed_while_it_is_served_is_not_called_as_it_was(bench, loop):
    async def change() -> None:
        async with bench.offered(add):
            assert (await bench.call(1, "tool", {"a": 1}, MODERN, chunked=False))[1]["result"][
                "isError"
            ] is False
        compiled, kernel = await bench.both(1, "tool", {"a": 1}, MODERN)
        assert compiled == kernel
        async with bench.offered(says("another")):
            _, answer = await bench.call(1, "tool", {"a": 1}, MODERN, chunked=False)
            assert answer["result"]["content"] == [{"type": "text", "text": "another"}]
            bench.server._tool_manager.get_tool("tool").fn = says("third")
            _, answer = await bench.call(1, "tool", {"a": 1}, MODERN, chunked=False)
            assert answer["result"]["content"] == [{"type": "text", "text": "third"}]

    loop.run(change())
    assert bench.compiled == 3


async def _middleware(context: Any, call_next: Any) -> Any:
    return await call_next(context)


def _mirrored(a: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    return a


async def _asked(ctx: Context) -> str:
    return "asked"


async def _resolved(a: int, region: Annotated[str, Resolve(_asked)]) -> str:
    return f"{a} {region}"


@pytest.mark.parametrize(
    ("tool", "options"), [(_resolved, {}), (_mirrored, {}), (add, {"meta": {"erlmcp/task": "optional"}})]
)
def test_a_tool_that_wants_more_than_its_arguments_keeps_the_kernel(bench, loop, tool, options):
    async def compare() -> None:
        async with bench.offered(tool, **options):
            compiled, kernel = await bench.both(1, "tool", {"a": "1"}, MODERN)
            assert compiled == kernel

    loop.run(compare())
    assert bench.compiled == 0


def test_middleware_added_at_any_time_sees_the_calls(bench, loop):
    async def compare() -> None:
        async with bench.offered(add):
            compiled, kernel = await bench.both(1, "tool", {"a": 1}, MODERN)
            assert compiled == kernel
            bench.server.middleware.append(_middleware)
            try:
                compiled, kernel = await bench.both(1, "tool", {"a": 1}, MODERN)
                assert compiled == kernel
            finally:
                bench.server.middleware.remove(_middleware)
            compiled, kernel = await bench.both(1, "tool", {"a": 1}, MODERN)
            assert compiled == kernel

    loop.run(compare())
    assert bench.compiled == 2


def test_an_overridden_step_of_the_call_is_taken(bench, loop, monkeypatch):
    async def shout(self: Any, name: str, arguments: Any, context: Any = None) -> Any:
        return CallToolResult(content=[TextContent(type="text", text="overridden")])

    async def compare() -> None:
        async with bench.offered(add):
            monkeypatch.setattr(MCPServer, "call_tool", shout)
            _, answer = await bench.call(1, "tool", {"a": 1}, MODERN, chunked=False)
            assert answer["result"]["content"][0]["text"] == "overridden"

    loop.run(compare())
    assert bench.compiled == 0


UNUSUAL: list[dict[str, Any]] = [
    {"requestState": "forged"},
    {"inputResponses": {}},
    {"task": {"ttl": 1}},
    {"unknown": 1},
    {"arguments": None},
    {"arguments": [1]},
    {"name": "absent"},
    {"name": 5},
    {"_meta": {**META, "progressToken": 1}},
    {"_meta": {**META, "io.modelcontextprotocol/logLevel": "debug"}},
    {"_meta": {**META, "io.modelcontextprotocol/clientCapabilities": 5}},
    {"_meta": {**META, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}},
    {"_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}},
    {"_meta": None},
    {"arguments": {"a": json.loads("[" * 80 + "]" * 80)}},
]


@pytest.mark.parametrize("extra", UNUSUAL, ids=lambda extra: str(extra)[:40])
@pytest.mark.parametrize("version", [MODERN, "2025-11-25"])
def test_a_request_with_more_than_a_name_and_arguments_takes_the_kernel(bench, loop, extra, version):
    async def compare() -> None:
        params = {
            "name": "tool",
            "arguments": {"a": 1},
            **({"_meta": META} if version == MODERN else {}),
            **extra,
        }
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        if version == MODERN:
            headers = {"mcp-protocol-version": version, "mcp-method": "tools/call", "mcp-name": "tool"}
        else:
            headers = {"mcp-protocol-version": version, "mcp-session-id": await bench.session(version)}
        async with bench.offered(add):
            answers = [await bench.send(message, headers, chunked=chunked) for chunked in (False, True)]
        assert answers[0] == answers[1]

    loop.run(compare())
    assert bench.compiled == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp-method": "tools/list"},
        {"mcp-name": "other"},
        {"mcp-name": "tool\r\nmcp-name: tool"},
        {"mcp-protocol-version": "2025-11-25"},
        {"mcp-param-region": "x"},
        {"accept-language": "x", "origin": "http://evil.example"},
        {"content-type": "text/plain"},
        {"host": "evil.example"},
    ],
    ids=str,
)
def test_the_rules_for_headers_hold_for_calls_that_could_be_compiled(bench, loop, headers):
    async def compare() -> None:
        good = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "tool"}
        params = {"name": "tool", "arguments": {"a": 1}, "_meta": META}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        async with bench.offered(add):
            for _ in range(2):  # the second time the head is known
                answers = [
                    await bench.send(message, {**good, **headers}, chunked=chunked)
                    for chunked in (False, True)
                ]
                assert answers[0] == answers[1]

    loop.run(compare())
    assert bench.compiled == 0
