"""A server with a way of its own to serve subscriptions."""

from mcp.server.lowlevel import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPError
from mcp_types import ListResourcesResult, ReadResourceResult


async def list_resources(ctx, params):
    return ListResourcesResult(resources=[])


async def read(ctx, params):
    return ReadResourceResult(contents=[])


async def subscribe(ctx, params):
    raise MCPError(-1, "by the guest itself")


server = Server(
    "subscribing",
    on_list_resources=list_resources,
    on_read_resource=read,
    on_subscribe_resource=subscribe,
    on_subscriptions_listen=ListenHandler(InMemorySubscriptionBus()),
)
