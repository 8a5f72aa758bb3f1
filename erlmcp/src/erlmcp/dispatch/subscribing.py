"""``resources/subscribe`` of the handshake era, for guests that announce changes but do not serve it.

An ``MCPServer`` announces changed resources for the modern era's listen streams. The same announcements serve
the older clients, if somebody keeps who has subscribed: ``erlmcp.sessions.subscriptions`` does.
"""

from __future__ import annotations

from typing import Any

from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    EmptyResult,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)

from erlmcp.protocol.faults import TOO_MANY_SUBSCRIPTIONS
from erlmcp.sessions.subscriptions import (
    CURRENT_SUBSCRIBER,
    MAX_URI_CHARS,
    Subscriber,
    TooManySubscriptionsError,
)

SUBSCRIBE = "resources/subscribe"
UNSUBSCRIBE = "resources/unsubscribe"


def offer_subscriptions(server: Server[Any]) -> None:
    """Let the server serve both methods, and so declare them; a server with one of its own is left alone.

    In a request of nobody who could be notified they do not exist.
    """
    has_resources = server.get_request_handler("resources/read") is not None
    if not has_resources or server.get_request_handler(SUBSCRIBE) is not None:
        return

    async def subscribe(_ctx: Any, params: SubscribeRequestParams) -> EmptyResult:
        subscriber, uri = _subscriber(SUBSCRIBE), str(params.uri)
        if len(uri) > MAX_URI_CHARS:
            raise MCPError(INVALID_PARAMS, f"the URI is longer than {MAX_URI_CHARS} characters")
        try:
            subscriber.subscriptions.add(subscriber.sid, uri)
        except TooManySubscriptionsError:
            raise MCPError(TOO_MANY_SUBSCRIPTIONS, "too many subscriptions") from None
        return EmptyResult()

    async def unsubscribe(_ctx: Any, params: UnsubscribeRequestParams) -> EmptyResult:
        subscriber = _subscriber(UNSUBSCRIBE)
        subscriber.subscriptions.remove(subscriber.sid, str(params.uri))
        return EmptyResult()

    server.add_request_handler(SUBSCRIBE, SubscribeRequestParams, subscribe)
    server.add_request_handler(UNSUBSCRIBE, UnsubscribeRequestParams, unsubscribe)


def _subscriber(method: str) -> Subscriber:
    subscriber = CURRENT_SUBSCRIBER.get()
    if subscriber is None:
        raise MCPError(METHOD_NOT_FOUND, "Method not found", data=method)
    return subscriber
