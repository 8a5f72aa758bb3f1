"""Drives the Python clients through the round: the official SDK's and FastMCP's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import fastmcp
import httpx2
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ResourceUpdated, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    PromptReference,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
    Root,
    TextContent,
    ToolListChangedNotification,
)
from round_scenario import ANSWERS, HANDSHAKE, MODERN, Act

LIMIT_S = 60.0
"""For one act: it takes milliseconds, but the machine may be busy."""
MODES = {HANDSHAKE: "legacy", MODERN: "auto"}
LEVEL = "io.modelcontextprotocol/logLevel"


class Wire:
    """The HTTP requests of a client, as its library sent them."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int, str, bool]] = []
        """Method, status, session id, whether it came back for missed events."""

    async def hear(self, response: httpx2.Response) -> None:
        request = response.request
        session = request.headers.get("mcp-session-id", "")
        resumed = "last-event-id" in request.headers
        self.requests.append((request.method, response.status_code, session, resumed))

    def client(self, **options: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(**{"timeout": LIMIT_S, **options}, event_hooks={"response": [self.hear]})


def stdio_command(target: str) -> list[str]:
    return ["-m", "erlmcp.cli.main", "stdio", target]


class SdkDriver:
    """The SDK's client."""

    def __init__(self, transport: str, era: str, url: str, target: str) -> None:
        self.era = era
        self.wire = Wire()
        self._heard: asyncio.Queue[Any] = asyncio.Queue()
        self._logged: list[str] = []
        self._client = self._make(transport, url, target)

    def _make(self, transport: str, url: str, target: str) -> Any:
        kinds: dict[str, Callable[[], Any]] = {
            "http": lambda: streamable_http_client(url, http_client=self.wire.client()),
            "sse": lambda: sse_client(url),
            "stdio": lambda: StdioServerParameters(command=sys.executable, args=stdio_command(target)),
        }
        return Client(
            kinds[transport](),
            mode=MODES[self.era],
            sampling_callback=self._sample,
            elicitation_callback=self._fill_in,
            list_roots_callback=self._roots,
            logging_callback=self._log,
            message_handler=self._hear,
        )

    async def _sample(self, context: Any, params: Any) -> CreateMessageResult:
        text = TextContent(type="text", text=ANSWERS["said"])
        return CreateMessageResult(role="assistant", content=text, model="none")

    async def _fill_in(self, context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": ANSWERS["name"]})

    async def _roots(self, context: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri=ANSWERS["root"])])

    async def _log(self, params: Any) -> None:
        self._logged.append(params.level)

    async def _hear(self, message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._heard.put_nowait("changed")
        elif isinstance(message, ResourceUpdatedNotification):
            self._heard.put_nowait(str(message.params.uri))

    async def play(self, acts: list[Act], lacks: frozenset[str]) -> dict[str, Any]:
        """Do the round; what was seen, by the name of the act."""
        seen: dict[str, Any] = {}
        async with self._client:
            for act in acts:
                if act.name not in lacks:
                    do = getattr(self, act.kind)
                    async with asyncio.timeout(LIMIT_S):
                        seen[act.name] = await refusals(partial(do, **act.arguments))
        return seen

    # -- acts; FastMCP's client is driven through the same ones, so each asks for what both have --

    async def connect(self) -> dict[str, Any]:
        return connection_seen(self._client)

    async def list_tools(self) -> dict[str, Any]:
        return tools_seen((await self._client.list_tools()).tools)

    async def _call(self, tool: str, arguments: dict[str, Any], on_progress: Any = None, **more: Any) -> Any:
        return await self._client.call_tool(tool, arguments, progress_callback=on_progress, **more)

    async def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return result_seen(await self._call(tool, arguments))

    async def progress(self, tool: str) -> dict[str, Any]:
        heard: list[list[float]] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            heard.append([int(progress), int(total or 0)])

        result = await self._call(tool, {}, on_progress)
        return {**result_seen(result), "heard": heard}

    async def cancel(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        began: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            began.set_result([int(progress), int(total or 0)])

        calling = asyncio.create_task(self._call(tool, arguments, on_progress))
        heard = await began
        calling.cancel()
        await asyncio.wait([calling])
        assert calling.cancelled()
        return {"heard": [heard]}

    async def log(self, tool: str, level: str, below: list[str]) -> list[str]:
        meta = {LEVEL: level} if self.era == MODERN else None
        if self.era == HANDSHAKE:
            await self._client.set_logging_level(level)
        while True:  # another worker than the one that was told hears of the level a moment later
            self._logged.clear()
            await self._call(tool, {}, meta=meta)
            if self._logged and not set(self._logged) & set(below):
                return list(self._logged)

    async def tools_changed(self, tool: str, arguments: dict[str, Any]) -> Any:
        if self.era == MODERN:
            async with self._client.listen(tools_list_changed=True) as events:
                await self._call(tool, arguments)
                return "changed" if isinstance(await anext(events), ToolsListChanged) else "something else"
        await self._call(tool, arguments)
        return await self._heard.get()

    async def watch(self, uri: str, tool: str, arguments: dict[str, Any]) -> Any:
        if self.era == MODERN:
            async with self._client.listen(resource_subscriptions=[uri]) as events:
                await self._call(tool, arguments)
                event = await anext(events)
                return str(event.uri) if isinstance(event, ResourceUpdated) else "something else"
        session = self._client.session  # FastMCP's client has words for it there only
        await session.subscribe_resource(uri)
        await self._call(tool, arguments)
        heard = await self._heard.get()
        await session.unsubscribe_resource(uri)
        return heard

    async def list_resources(self) -> list[str]:
        return sorted(str(each.uri) for each in (await self._client.list_resources()).resources)

    async def list_templates(self) -> list[str]:
        found = await self._client.list_resource_templates()
        return sorted(each.uri_template for each in found.resource_templates)

    async def read(self, uri: str) -> list[str]:
        return contents_seen((await self._client.read_resource(uri)).contents)

    async def list_prompts(self) -> list[Any]:
        return prompts_seen((await self._client.list_prompts()).prompts)

    async def get_prompt(self, name: str, arguments: dict[str, str]) -> list[list[str]]:
        found = await self._client.get_prompt(name, arguments)
        return [[message.role, message.content.text] for message in found.messages]

    async def complete(self, ref: dict[str, str], argument: dict[str, str]) -> list[str]:
        found = await self._client.complete(reference(ref), argument)
        return list(getattr(found, "completion", found).values)

    async def ping(self) -> str:
        await self._client.send_ping()
        return "pong"


class FastDriver(SdkDriver):
    """FastMCP's client: the same acts, said in its words."""

    def _make(self, transport: str, url: str, target: str) -> Any:
        kinds: dict[str, Callable[[], Any]] = {
            "http": lambda: StreamableHttpTransport(url, httpx_client_factory=self.wire.client),
            "sse": lambda: SSETransport(url),
            "stdio": lambda: StdioTransport(sys.executable, stdio_command(target), keep_alive=False),
        }
        return fastmcp.Client(
            kinds[transport](),
            mode=MODES[self.era],
            roots=[ANSWERS["root"]],
            sampling_handler=self._say,
            elicitation_handler=self._fill,
            log_handler=self._log,
            message_handler=self._hear,
        )

    async def _say(self, messages: Any, params: Any, context: Any) -> str:
        return ANSWERS["said"]

    async def _fill(self, message: str, response_type: Any, params: Any, context: Any) -> dict[str, str]:
        return {"name": ANSWERS["name"]}

    async def connect(self) -> dict[str, Any]:
        return connection_seen(self._client.session)

    async def list_tools(self) -> dict[str, Any]:
        return tools_seen(await self._client.list_tools())

    async def _call(self, tool: str, arguments: dict[str, Any], on_progress: Any = None, **more: Any) -> Any:
        return await self._client.call_tool_mcp(tool, arguments, progress_handler=on_progress, **more)

    async def list_resources(self) -> list[str]:
        return sorted(str(each.uri) for each in await self._client.list_resources())

    async def list_templates(self) -> list[str]:
        return sorted(each.uri_template for each in await self._client.list_resource_templates())

    async def read(self, uri: str) -> list[str]:
        return contents_seen(await self._client.read_resource(uri))

    async def list_prompts(self) -> list[Any]:
        return prompts_seen(await self._client.list_prompts())

    async def ping(self) -> str:
        return "pong" if await self._client.ping() else "silence"


DRIVERS: dict[str, Callable[..., SdkDriver]] = {"sdk": SdkDriver, "fastmcp": FastDriver}


async def refusals(do: Callable[[], Any]) -> Any:
    """What was seen; an answer that is a protocol error is seen as its code."""
    try:
        return await do()
    except MCPError as refused:
        return {"refused": refused.error.code}


def connection_seen(client: Any) -> dict[str, Any]:
    info = client.server_info
    era = MODERN if client.protocol_version == "2026-07-28" else HANDSHAKE
    return {"server": f"{info.name} {info.version}", "instructions": client.instructions, "era": era}


def tools_seen(tools: list[Any]) -> dict[str, Any]:
    structured = sorted(tool.name for tool in tools if tool.output_schema is not None)
    return {"names": sorted(tool.name for tool in tools), "structured": structured}


def result_seen(result: Any) -> dict[str, Any]:
    text = next((block.text for block in result.content if block.type == "text"), None)
    kinds = [block.type for block in result.content]
    structured = result.structured_content
    return {"text": text, "structured": structured, "error": bool(result.is_error), "kinds": kinds}


def contents_seen(contents: list[Any]) -> list[str]:
    (found,) = contents
    return [found.mime_type, found.text if hasattr(found, "text") else found.blob]


def prompts_seen(prompts: list[Any]) -> list[Any]:
    return [[prompt.name, [argument.name for argument in prompt.arguments or []]] for prompt in prompts]


def reference(ref: dict[str, str]) -> PromptReference | ResourceTemplateReference:
    if ref["type"] == "ref/prompt":
        return PromptReference(type="ref/prompt", name=ref["name"])
    return ResourceTemplateReference(type="ref/resource", uri=ref["uri"])
