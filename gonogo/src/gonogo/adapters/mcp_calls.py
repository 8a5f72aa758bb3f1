"""Real MCP calls for a deployment: the smoke journey in both eras, and one small labelled call.

Only calls that change nothing: meeting the server, listing its tools, and calling the first tool that is
declared read-only and needs no argument, if there is one. ``adapters.mcp`` is the client.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.model.errors import GonogoError

LABEL = {"x-gonogo-traffic": "synthetic"}


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What one journey saw.

    Attributes:
        server: name and version that the guest gave itself.
        tool: the tool that was called, or empty if none may be called blindly.
    """

    era: str
    server_name: str
    server_version: str
    tools: int
    tool: str


class McpCalls:
    """Makes calls; never retries."""

    def __init__(self, http: HttpReader) -> None:
        self._http = http

    async def smoke(self, endpoint: str) -> tuple[CallAnswer, ...]:
        """One journey in each era.

        Raises:
            GonogoError: a call failed, or a tool that takes no argument answered with an error.
        """
        return tuple([await self.journey(endpoint, era) for era in (Era.MODERN, Era.HANDSHAKE)])

    async def journey(self, endpoint: str, era: Era = Era.MODERN) -> CallAnswer:
        """Meet the server, list its tools, call one that is safe.

        Raises:
            GonogoError: smoke.tool-failed, or a fault of the client.
        """
        async with McpClient(endpoint, self._http, era) as client:
            listed = await client.request("tools/list", headers=LABEL)
            tools = listed.result.get("tools")
            names = _safe_tools(tools if isinstance(tools, list) else [])
            if names:
                called = await client.request(
                    "tools/call", {"name": names[0], "arguments": {}}, headers=LABEL
                )
                if called.result.get("isError"):
                    raise GonogoError(
                        "smoke.tool-failed",
                        f"{endpoint}: tool {names[0]} answered with an error; expected a result",
                        hint="read the service's log for the time of this call",
                        exit_code=1,
                    )
            name, version = server_info(client.server)
            count = len(tools) if isinstance(tools, list) else 0
            return CallAnswer(era.value, name, version, count, names[0] if names else "")

    async def ping(self, endpoint: str) -> None:
        """One labelled call, whatever it answers.

        Raises:
            HttpError: no answer came.
        """
        client = McpClient(endpoint, self._http, Era.MODERN)
        message = client.message("tools/list", None)
        headers = {**client.headers("tools/list", message["params"]), **LABEL}
        await self._http.request("POST", endpoint, headers=headers, content=json.dumps(message).encode())


def server_info(server: Mapping[str, Any]) -> tuple[str, str]:
    """Name and version out of a discover or initialize result."""
    meta = server.get("_meta")
    inner = meta.get("io.modelcontextprotocol/serverInfo") if isinstance(meta, dict) else None
    found = inner or server.get("serverInfo") or {}
    return (
        (str(found.get("name", "")), str(found.get("version", ""))) if isinstance(found, dict) else ("", "")
    )


def _safe_tools(tools: Sequence[Any]) -> list[str]:
    """Names of tools that say they only read and that need no argument."""
    return [
        str(tool["name"])
        for tool in tools
        if isinstance(tool, dict)
        and "name" in tool
        and (tool.get("annotations") or {}).get("readOnlyHint") is True
        and not (tool.get("inputSchema") or {}).get("required")
    ]
