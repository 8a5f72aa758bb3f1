"""All channels of one worker: what they share, how many there are, and how they end together."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from erlmcp.dispatch.changes import LIST_CHANGED, perhaps_missed, resource_updated
from erlmcp.edge.addresses import network_of
from erlmcp.edge.auth.gate import Gate, Watch
from erlmcp.protocol import jsonrpc
from erlmcp.protocol.grants import Grant
from erlmcp.sessions.asking import Asking
from erlmcp.sessions.bus import BUS_GAP, RESOURCE_UPDATED, Bus, BusEvent, LocalBus
from erlmcp.sessions.subscriptions import Subscriptions
from erlmcp.telemetry.descriptors import connections_that_fit
from erlmcp.transports.duplex.channel import DuplexChannel
from erlmcp.transports.duplex.compiled_calls import CompiledCalls
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.duplex.wire import Wire
from erlmcp.transports.making_room import MakingRoom, Quiet
from erlmcp.transports.outbox import Outbox
from erlmcp.transports.streamable_http.service import Service


class Droppable(Protocol):
    """A connection that carries one channel and nothing else, so that it can make room."""

    @property
    def silent_since(self) -> float | None: ...
    def drop(self) -> None: ...


class Channels:
    """The open channels of this worker, over whatever transport.

    Args:
        service: what all calls of this worker share.
        bus: how the workers hear of each other.
        gate: judges access tokens; None when nobody asks for them.
    """

    def __init__(self, service: Service, bus: Bus, gate: Gate | None = None) -> None:
        self.service = service
        self.gate = gate
        self._watches: dict[DuplexChannel, Watch] = {}
        self._asking = Asking(LocalBus())  # an answer comes on the channel of its question: no other worker
        self.subscriptions = Subscriptions(LocalBus(), lambda _: False)  # likewise
        self.outbox = Outbox(service.loop)
        self._compiled = CompiledCalls(service)
        self._max_connections = connections_that_fit(service.settings.http.max_connections)
        self._channels: dict[DuplexChannel, Peer] = {}
        self._emptied: asyncio.Event | None = None
        self.connections: set[Droppable] = set()
        """Those of TCP and WebSocket."""
        self._room = MakingRoom(service.loop, lambda: self.connections, _quiet, self._make_room)
        self._unsubscribe = bus.subscribe(self._hear)
        service.bans.when_banned(self._drop)

    def __len__(self) -> int:
        return len(self._channels)

    def open(self, wire: Wire, peer: Peer, era: str | None = None) -> DuplexChannel:
        """A new channel; its driver calls ``closed`` when the wire is lost."""
        channel = DuplexChannel(
            self.service, self._asking, self.subscriptions, self._compiled, wire, peer, era
        )
        self._channels[channel] = peer
        if peer.grant is not None:
            self.watch(channel, peer.grant)
        if self.service.draining:
            channel.begin_drain()
        return channel

    def watch(self, channel: DuplexChannel, grant: Grant) -> None:
        """Let the channel end when its access token is no longer good."""
        assert self.gate is not None, "else there are no grants"
        self._watches[channel] = self.gate.watch(grant, channel.expire)

    def closed(self, channel: DuplexChannel) -> None:
        """The wire of a channel is lost."""
        watch = self._watches.pop(channel, None)
        if watch is not None:
            watch.cancel()
        self._channels.pop(channel, None)
        channel.gone()
        if self._emptied is not None and not self._channels:
            self._emptied.set()

    def has_room(self) -> bool:
        """Whether one more connection may be taken; one that never asked anything makes room for it."""
        if len(self._channels) < self._max_connections or self._room.make():
            return True
        self.service.meter.rejected("connections")
        return False

    def _make_room(self, connection: Droppable) -> None:
        self.service.meter.rejected("made-room")
        connection.drop()

    def _drop(self, network: str) -> None:
        """Leave the clients of an address."""
        for channel, peer in list(self._channels.items()):
            if network_of(peer.address) == network:
                channel.close()

    def begin_drain(self) -> None:
        """Let every client go when what it asked for is answered."""
        for channel in list(self._channels):
            channel.begin_drain()

    def resume(self) -> None:
        """Undo ``begin_drain`` for those who have not left."""
        for channel in self._channels:
            channel.resume()

    async def close(self, timeout_s: float) -> None:
        """Leave every client now, and give them some time to read what they are owed."""
        self._unsubscribe()
        self._asking.close()
        for channel in list(self._channels):
            channel.close()
        if self._channels:
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._emptied.wait()

    def _hear(self, event: BusEvent) -> None:
        if event.kind == RESOURCE_UPDATED:
            self._tell_updated(event.key)
            return
        if event.kind == BUS_GAP and self.service.guest.delivers_changes:
            for channel in list(self._channels):
                for message in perhaps_missed(self.subscriptions.wanted_by(channel.name)):
                    channel.tell_change(message)
            return
        method = LIST_CHANGED.get(event.kind)
        if method is not None:
            message = jsonrpc.encode_notification(method, None)
            for channel in list(self._channels):
                channel.tell_change(message)

    def _tell_updated(self, uri: str) -> None:
        names = self.subscriptions.of(uri)
        if not names:
            return
        message = resource_updated(uri)
        for channel in list(self._channels):
            if channel.name in names:
                channel.tell_change(message)


def _quiet(connection: Droppable) -> Quiet | None:
    """How a connection is quiet. One that has asked stays: its subscriptions may be all that it wants."""
    since = connection.silent_since
    return None if since is None else Quiet(has_asked=False, since=since)
