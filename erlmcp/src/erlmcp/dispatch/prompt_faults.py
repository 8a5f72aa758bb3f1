"""What a client is told that asks for a prompt wrongly: that it was the client, and what is wrong.

The SDK raises the same bare exception for a prompt that does not exist, for an argument that is missing and
for a prompt function that fails. Only the last is the server's fault.
"""

from __future__ import annotations

from typing import Any, Final

from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    GetPromptRequestParams,
    ListPromptsResult,
    PaginatedRequestParams,
    Prompt,
)

_MAX_PAGES: Final = 100


def tell_prompt_faults(server: Server[Any]) -> None:
    """Let ``prompts/get`` answer -32602 when the list of prompts shows that the request was wrong."""
    get, listing = server.get_request_handler("prompts/get"), server.get_request_handler("prompts/list")
    if get is None or listing is None:
        return

    async def find(ctx: Any, name: str) -> Prompt | None:
        cursor = None
        for _ in range(_MAX_PAGES):
            page = await listing.handler(ctx, PaginatedRequestParams(cursor=cursor))
            if not isinstance(page, ListPromptsResult):
                return None
            found = next((each for each in page.prompts if each.name == name), None)
            cursor = page.next_cursor
            if found is not None or cursor is None:
                return found
        return None

    async def tell(ctx: Any, params: GetPromptRequestParams) -> Any:
        try:
            return await get.handler(ctx, params)
        except MCPError:
            raise
        except Exception:
            prompt = await find(ctx, params.name)
            if prompt is None:
                raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}") from None
            given = params.arguments or {}
            wanted = [each.name for each in prompt.arguments or () if each.required]
            missing = [name for name in wanted if name not in given]
            if missing:
                raise MCPError(INVALID_PARAMS, f"Missing arguments: {', '.join(missing)}") from None
            raise

    server.add_request_handler("prompts/get", GetPromptRequestParams, tell)
