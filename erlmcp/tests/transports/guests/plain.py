"""A low-level server without listen, and one that answers it with a function of its own."""

import anyio
from mcp.server.lowlevel import Server
from mcp_types import (
    CallToolResult,
    ListToolsResult,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsListenResult,
    TextContent,
    Tool,
)


async def list_tools(ctx, params):
    return ListToolsResult(tools=[Tool(name="echo", input_schema={"type": "object"})])


async def call_tool(ctx, params):
    return CallToolResult(content=[TextContent(type="text", text=str((params.arguments or {}).get("text")))])


async def listen(ctx, params):
    await ctx.session.send_notification(
        SubscriptionsAcknowledgedNotification(
            params={"notifications": {}, "_meta": {"io.modelcontextprotocol/subscriptionId": ctx.request_id}}
        ),
        related_request_id=ctx.request_id,
    )
    await anyio.sleep_forever()
    return SubscriptionsListenResult()


server = Server("plain", version="9", on_list_tools=list_tools, on_call_tool=call_tool)


async def make_listening() -> Server:
    return Server("listening", on_list_tools=list_tools, on_subscriptions_listen=listen)
