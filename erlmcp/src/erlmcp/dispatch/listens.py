"""Listen streams without a coroutine: most of their life they wait, and waiting should cost next to nothing.

The SDK's handler waits inside the whole chain of the kernel, with a task, a queue and some hundred objects
for each stream. Here the kernel does for the request all that it does; the handler acknowledges, and then
leaves the chain by raising ``HandedOver``. From then on a change is written to each stream that has asked for
it, by the transport that holds the stream. Where somebody in the chain could tell that the handler has left
it (middleware of the guest, a tracer), or nobody holds the stream, the SDK's own handler serves.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final, Protocol

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.subscriptions import (
    SUBSCRIPTION_ID_META_KEY,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import event_to_notification
from mcp_types import (
    INTERNAL_ERROR,
    SERVER_INFO_META_KEY,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)
from mcp_types.methods import serialize_server_result

from erlmcp.dispatch import sdk_private
from erlmcp.dispatch.changes import LISTS, ChangeBus, Listening, from_bus
from erlmcp.protocol import jsonrpc
from erlmcp.protocol.jsonrpc import RequestId
from erlmcp.sessions.bus import BUS_GAP, Bus, BusEvent

logger = logging.getLogger(__name__)

LISTEN: Final = "subscriptions/listen"

MAX_WAITING: Final = 1_024
"""Changes that wait while others are being told; one more, and all are told at once."""

_TELL_AT_ONCE: Final = 256
"""Streams that are looked at in one turn of the loop, so that calls are answered meanwhile."""


class Holder(Protocol):
    """The request in a transport that a listen stream is the answer to."""

    def say(self, message: bytes) -> None:
        """Send an encoded notification on the stream, at once."""

    def finish(self, result: dict[str, Any]) -> None:
        """End the stream with its result, which the server owes when it ends the stream by itself."""


CURRENT_HOLDER: ContextVar[Holder | None] = ContextVar("erlmcp_holder", default=None)
"""Who holds the stream of the request that is being served; None where a handler must stay until the end."""


class HandedOver(Exception):  # noqa: N818 - nothing has failed: the handler leaves, the stream goes on
    """The stream is acknowledged and needs its handler no more."""

    def __init__(self, stream: ListenStream) -> None:
        super().__init__("the stream goes on without its handler")
        self.stream = stream


class ListenStream:
    """One open stream, and what it has asked for."""

    __slots__ = ("_listens", "holder", "kinds", "request_id", "uris", "version")

    def __init__(
        self, listens: Listens, holder: Holder, request_id: RequestId, version: str, asked: SubscriptionFilter
    ) -> None:
        self._listens = listens
        self.holder = holder
        self.request_id = request_id
        self.version = version
        self.kinds = (
            bool(asked.tools_list_changed),
            bool(asked.prompts_list_changed),
            bool(asked.resources_list_changed),
        )
        self.uris = frozenset(asked.resource_subscriptions or ())

    def wants(self, change: ServerEvent) -> bool:
        """Whether a change is among what was acknowledged."""
        if type(change) is ResourceUpdated:
            return change.uri in self.uris
        return self.kinds[_PLACE_OF[type(change)]]

    def leave(self) -> None:
        """The stream is over: nothing more is said on it."""
        self._listens.forget(self)


_PLACE_OF: Final[dict[type, int]] = {ToolsListChanged: 0, PromptsListChanged: 1, ResourcesListChanged: 2}


class Listens:
    """The listen handler of a guest whose changes our bus carries.

    Args:
        server: on which it is registered.
        bus: carries the changes of all workers.
        max_streams: open at once; more are refused.
    """

    def __init__(self, server: Server[Any], bus: Bus, max_streams: int) -> None:
        self._server = server
        self._max_streams = max_streams
        self._staying = Listening(ChangeBus(bus), max_subscriptions=max_streams)
        self._streams: dict[ListenStream, None] = {}
        self._waiting: deque[tuple[_Change, Iterator[ListenStream]]] = deque()
        self._telling: asyncio.Handle | None = None
        self._unsubscribe = bus.subscribe(self._hear)

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Acknowledge one stream and hand it over, or serve it to its end as the SDK does.

        Raises:
            HandedOver: to whoever holds the stream.
        """
        holder, request_id = CURRENT_HOLDER.get(), ctx.request_id
        if holder is None or request_id is None or not sdk_private.is_unobserved(self._server):
            return await self._staying(ctx, params)
        if len(self._streams) >= self._max_streams:
            raise MCPError(INTERNAL_ERROR, "Subscription limit reached")
        asked = params.notifications
        stream = ListenStream(self, holder, request_id, ctx.protocol_version, asked)
        self._streams[stream] = None
        try:
            await ctx.session.send_notification(_acknowledgement(stream, asked), request_id)
        except BaseException:
            self.forget(stream)
            raise
        raise HandedOver(stream)

    def close(self) -> None:
        """Let every open stream end with its result."""
        self._staying.close()
        streams, self._streams = list(self._streams), {}
        for stream in streams:
            stream.holder.finish(self._result_of(stream))

    def leave(self) -> None:
        """Hear no more changes."""
        self._unsubscribe()

    def forget(self, stream: ListenStream) -> None:
        """A stream is over."""
        self._streams.pop(stream, None)

    def _hear(self, event: BusEvent) -> None:
        if not self._streams:
            return
        change = from_bus(event)
        if change is not None:
            self._put(change, list(self._streams))
        elif event.kind == BUS_GAP:
            self._tell_again()

    def _tell_again(self) -> None:
        """Changes may have been missed: tell each stream of everything that it has asked for."""
        for change in LISTS:
            self._put(change, list(self._streams))
        wanted: dict[str, list[ListenStream]] = {}
        for stream in self._streams:
            for uri in stream.uris:
                wanted.setdefault(uri, []).append(stream)
        for uri, streams in wanted.items():
            self._put(ResourceUpdated(uri=uri), streams)

    def _put(self, change: ServerEvent, streams: list[ListenStream]) -> None:
        self._waiting.append((_Change(change), iter(streams)))
        if len(self._waiting) > MAX_WAITING:
            while self._waiting:
                self._tell_some()
        elif self._telling is None:
            self._tell()

    def _tell(self) -> None:
        """Tell a part of the streams of the oldest change, and go on in the next turn of the loop."""
        self._telling = None
        if self._waiting:
            self._tell_some()
        if self._waiting:
            self._telling = asyncio.get_running_loop().call_soon(self._tell)

    def _tell_some(self) -> None:
        change, streams = self._waiting[0]
        for _ in range(_TELL_AT_ONCE):
            stream = next(streams, None)
            if stream is None:
                self._waiting.popleft()
                return
            if stream in self._streams and stream.wants(change.event):
                try:
                    stream.holder.say(change.for_stream(stream.request_id))
                except Exception:  # one stream's fault must not cost the others the change
                    logger.exception("telling a listen stream of a change failed")

    def _result_of(self, stream: ListenStream) -> dict[str, Any]:
        """The result as the kernel would have shaped it."""
        result = SubscriptionsListenResult(_meta={SUBSCRIPTION_ID_META_KEY: stream.request_id})
        dumped = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        shaped = serialize_server_result(LISTEN, stream.version, dumped)
        shaped["_meta"] = {**shaped["_meta"], SERVER_INFO_META_KEY: self._server.server_info_stamp}
        return shaped


class _Change:
    """One change, as each stream is told of it: the same but for the id of the subscription."""

    __slots__ = ("_method", "_params", "event")

    def __init__(self, event: ServerEvent) -> None:
        self.event = event
        notification = event_to_notification(event, {SUBSCRIPTION_ID_META_KEY: 0})
        dumped = notification.model_dump(by_alias=True, mode="json", exclude_none=True)
        self._method: str = dumped["method"]
        self._params: dict[str, Any] = dumped["params"]

    def for_stream(self, request_id: RequestId) -> bytes:
        """The encoded notification for one stream."""
        self._params["_meta"][SUBSCRIPTION_ID_META_KEY] = request_id
        return jsonrpc.encode_notification(self._method, self._params)


def _acknowledgement(
    stream: ListenStream, asked: SubscriptionFilter
) -> SubscriptionsAcknowledgedNotification:
    """What was asked for, all of which is delivered when it happens."""
    tools, prompts, resources = stream.kinds
    honored = SubscriptionFilter(
        tools_list_changed=tools or None,
        prompts_list_changed=prompts or None,
        resources_list_changed=resources or None,
        resource_subscriptions=list(asked.resource_subscriptions) if asked.resource_subscriptions else None,
    )
    return SubscriptionsAcknowledgedNotification(
        params=SubscriptionsAcknowledgedNotificationParams(
            notifications=honored, _meta={SUBSCRIPTION_ID_META_KEY: stream.request_id}
        )
    )
