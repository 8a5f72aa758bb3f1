"""Changes that a guest announces, carried to listeners on every worker of every generation.

The guest publishes on the SDK's in-process bus as it always did; ``bridge`` forwards that to ours. Listeners
subscribe to ours through ``ChangeBus``, which has the shape the SDK's ``ListenHandler`` wants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio.lowlevel
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)

from erlmcp.sessions.bus import PROMPTS, RESOURCE_UPDATED, RESOURCES, TOOLS, Bus, BusEvent

_KIND_OF: Final = {ToolsListChanged: TOOLS, PromptsListChanged: PROMPTS, ResourcesListChanged: RESOURCES}
_EVENT_OF: Final[dict[str, ServerEvent]] = {
    TOOLS: ToolsListChanged(),
    PROMPTS: PromptsListChanged(),
    RESOURCES: ResourcesListChanged(),
}
LIST_CHANGED: Final = {kind: f"notifications/{kind}/list_changed" for kind in (TOOLS, PROMPTS, RESOURCES)}
"""The notification of the handshake era for each kind of list."""


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

        def deliver(event: BusEvent) -> None:
            change = from_bus(event)
            if change is not None:
                listener(change)

        return self._bus.subscribe(deliver)
