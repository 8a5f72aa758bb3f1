"""Changes that a guest announces, carried to listeners on every worker of every generation.

The guest publishes on the SDK's in-process bus as it always did; ``bridge`` forwards that to ours. Listeners
subscribe to ours through ``ChangeBus``, which has the shape the SDK's ``ListenHandler`` wants. When changes
may have been missed, all are told of everything that they wanted to hear of: to ask again does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final

import anyio.lowlevel
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp_types import SubscriptionsListenRequestParams, SubscriptionsListenResult

from erlmcp.protocol.jsonrpc import encode_notification
from erlmcp.sessions.bus import BUS_GAP, PROMPTS, RESOURCE_UPDATED, RESOURCES, TOOLS, Bus, BusEvent

_KIND_OF: Final = {ToolsListChanged: TOOLS, PromptsListChanged: PROMPTS, ResourcesListChanged: RESOURCES}
_EVENT_OF: Final[dict[str, ServerEvent]] = {
    TOOLS: ToolsListChanged(),
    PROMPTS: PromptsListChanged(),
    RESOURCES: ResourcesListChanged(),
}
LISTS: Final = tuple(_EVENT_OF.values())
"""A change of each kind of list."""

LIST_CHANGED: Final = {kind: f"notifications/{kind}/list_changed" for kind in (TOOLS, PROMPTS, RESOURCES)}
"""The notification of the handshake era for each kind of list."""


_LISTENED: ContextVar[tuple[str, ...]] = ContextVar("erlmcp_listened", default=())
"""The resources that a listen request names, while its handler subscribes."""


def resource_updated(uri: str) -> bytes:
    """The notification of the handshake era."""
    return encode_notification("notifications/resources/updated", {"uri": uri})


def perhaps_missed(uris: Iterable[str]) -> list[bytes]:
    """What a client of the handshake era is told when changes may have been missed.

    Args:
        uris: the resources to which it has subscribed.
    """
    lists = [encode_notification(method, None) for method in LIST_CHANGED.values()]
    return [*lists, *map(resource_updated, uris)]


def to_bus(change: ServerEvent) -> BusEvent:
    """A change in the SDK's form as an event of ours."""
    if isinstance(change, ResourceUpdated):
        return BusEvent(RESOURCE_UPDATED, change.uri)
    return BusEvent(_KIND_OF[type(change)])


def from_bus(event: BusEvent) -> ServerEvent | None:
    """A change in the SDK's form; None for an event that is no change."""
    if event.kind == RESOURCE_UPDATED:
        return ResourceUpdated(uri=event.key)
    return _EVENT_OF.get(event.kind)


def bridge(source: InMemorySubscriptionBus, bus: Bus) -> Callable[[], None]:
    """Forward what the guest publishes; the result ends it."""
    return source.subscribe(lambda change: bus.publish(to_bus(change)))


class ChangeBus:
    """Our bus in the shape of the SDK's ``SubscriptionBus``."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, event: ServerEvent) -> None:
        """Tell every worker."""
        self._bus.publish(to_bus(event))
        await anyio.lowlevel.checkpoint()

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Hear the changes of every worker."""

        uris = _LISTENED.get()

        def deliver(event: BusEvent) -> None:
            if event.kind == BUS_GAP:
                for perhaps in (*LISTS, *(ResourceUpdated(uri=uri) for uri in uris)):
                    listener(perhaps)
                return
            change = from_bus(event)
            if change is not None:
                listener(change)

        return self._bus.subscribe(deliver)


class Listening(ListenHandler):
    """The SDK's handler of listen streams, whose bus is told which resources each of them names."""

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one listen stream."""
        _LISTENED.set(tuple(params.notifications.resource_subscriptions or ()))
        return await super().__call__(ctx, params)
