"""What bytes are thrown at, and what must hold whatever they are.

Each target drives the real protocol object twice with the same bytes, whole and in pieces. Neither may raise,
log an error, hang, keep more than it may, wait without a time limit, or answer what the specifications do not
know; and both must come to the same.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from random import Random
from typing import Any, Final, Protocol

from erlmcp.protocol import jsonrpc
from erlmcp.protocol.jsonrpc import Malformed, Notification, Request, Response
from erlmcp.protocol.plain_call import PlainCall, decode_plain_call
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.duplex.stream_wire import StreamWire
from erlmcp.transports.http.connection import HttpConnection
from erlmcp.transports.tcp.server import TcpServer, TcpWire
from erlmcp.transports.websocket.wire import WebSocketWire
from fuzz import judge, mutate, shapes
from fuzz.mutate import Change
from fuzz.sink import Sink
from fuzz.world import MAX_BODY_BYTES, MAX_DEPTH, MAX_HEADER_BYTES, MAX_PIPELINED, Finding, World

Answers = tuple[bytes, bool, bool]

_SLICE: Final = 2_048
"""Bytes that the HTTP reader may take beyond a limit before it looks at it."""

_SESSION_FIELD: Final = re.compile(rb"mcp-session-id: ([^\r]+)")
_RENEW_EVERY: Final = 1_000
_PLAY_LIMIT_S: Final = 2.0
"""How long one play may take in all, of the processor's time."""


class Target(Protocol):
    """One framing under fire."""

    name: str
    corpus: Sequence[bytes]
    changes: Sequence[Change]

    def made(self, rng: Random) -> bytes:
        """A new input."""

    async def check(self, data: bytes, rng: Random) -> None:
        """Throw it.

        Raises:
            Finding: something does not hold.
        """


class JsonRpcTarget:
    """Decoding of messages: what is taken must be what an independent reader of JSON finds in it."""

    name = "json-rpc"
    corpus: Sequence[bytes] = (*shapes.MESSAGES, shapes.BATCH)
    changes: Sequence[Change] = mutate.JSON

    def __init__(self, world: World) -> None:
        self._world = world

    def made(self, rng: Random) -> bytes:
        """One message, changed."""
        return mutate.mutated(rng.choice(self.corpus), self.changes, rng)

    async def check(self, data: bytes, rng: Random) -> None:  # noqa: ARG002 - there is nothing to cut
        """Decode as one message, as a batch, and on the short way."""
        message = self._one(data)
        if jsonrpc.is_batch(data):
            self._batch(data)
        plain = decode_plain_call(data, max_depth=MAX_DEPTH)
        if plain is not None:
            self._short(plain, message)

    def _one(self, data: bytes) -> jsonrpc.Message | None:
        try:
            message = jsonrpc.decode(data, max_depth=MAX_DEPTH)
        except Malformed as malformed:
            self._refused(malformed)
            return None
        _same(message, json.loads(data))
        return message

    def _batch(self, data: bytes) -> None:
        try:
            messages = jsonrpc.decode_batch(data, max_depth=MAX_DEPTH)
        except Malformed as malformed:
            self._refused(malformed)
            return
        for message, raw in zip(messages, json.loads(data), strict=True):
            if isinstance(message, Malformed):
                self._refused(message)
            else:
                _same(message, raw)

    def _short(self, plain: PlainCall, message: jsonrpc.Message | None) -> None:
        """What the short way takes is the same call. It does not look into an envelope: before it serves one
        that it has not seen, the ordinary way has taken the whole message."""
        if message is None and plain.params.meta:
            return
        if not isinstance(message, Request) or (message.method, message.id) != ("tools/call", plain.id):
            raise Finding("the short way takes what the ordinary one does not")
        if {"arguments": {}, **(message.params or {})} != plain.params.as_params():
            raise Finding("the short way finds other parameters than the ordinary one")

    def _refused(self, malformed: Malformed) -> None:
        if malformed.fault.code not in (-32700, -32600) or malformed.fault.http_status != 400:
            raise Finding(f"refused with {malformed.fault.code}")
        judge.messages(jsonrpc.encode_fault(malformed.id, malformed.fault))


def _same(message: jsonrpc.Message, raw: Any) -> None:
    """What was taken is what is there, the id with its type."""
    request_id = getattr(message, "id", None)
    if request_id is not None and (raw["id"], type(raw["id"])) != (request_id, type(request_id)):
        raise Finding(f"the id {raw['id']!r} was taken for {request_id!r}")
    if isinstance(message, Request | Notification):
        if raw["method"] != message.method or raw.get("params") != message.params:
            raise Finding("a method or parameters were taken for others")
    elif isinstance(message, Response) and raw.get("result", raw.get("error")) != (
        message.result if message.error is None else message.error
    ):
        raise Finding("a response was taken for another")


class HttpTarget:
    """A connection of the HTTP listener, with everything behind it."""

    name = "http"
    corpus: Sequence[bytes] = shapes.HTTP
    changes: Sequence[Change] = mutate.HTTP

    def __init__(self, world: World) -> None:
        self._world = world
        self._server = world.runtime._http  # noqa: SLF001 - the real one, with the real routes
        self._session = b""
        self._checked = 0

    def made(self, rng: Random) -> bytes:
        """Requests in a row, one of them changed."""
        return mutate.made(self.corpus, self.changes, rng)

    async def check(self, data: bytes, rng: Random) -> None:
        """Send it whole and in pieces; a session may end on the way, so what differs is tried again."""
        if self._checked % _RENEW_EVERY == 0:
            await self._renew_session()
        self._checked += 1
        data = data.replace(shapes.SESSION, self._session)
        pieces = mutate.cut(data, rng)
        whole = await self._play([data], data)
        parts = await self._play(pieces, data)
        if not _same_answers(whole, parts) and not _same_answers(await self._play([data], data), parts):
            raise Finding(f"in {len(pieces)} pieces it is answered otherwise: {whole!r} and {parts!r}")

    async def _renew_session(self) -> None:
        sink = Sink(self._world.loop, self._world.sock)
        sink.connect(HttpConnection(self._server))
        body = shapes.encoded(shapes.INITIALIZE)
        sink.deliver(shapes.http_request(shapes.post_fields(body, b"2025-11-25"), body))
        await self._world.rest(lambda: b"mcp-session-id" in sink.out, "a session begins")
        found = _SESSION_FIELD.search(sink.out)
        assert found is not None, "it came to rest"
        self._session = found[1]
        sink.lose()

    async def _play(self, pieces: Sequence[bytes], data: bytes) -> Answers:
        """The output without its chances, whether the connection stays open, whether a head is unfinished."""
        world, began = self._world, time.process_time()
        sink = Sink(world.loop, world.sock)
        sink.connect(HttpConnection(self._server))
        for piece in pieces:
            await world.rest(lambda: sink.can_deliver or self._is_at_rest(sink), "it reads on")
            if not sink.can_deliver:
                break
            sink.deliver(piece)
        await world.rest(lambda: self._is_at_rest(sink), "everything is answered")
        self._check_kept(sink, data)
        stays = not sink.closing
        protocol = sink.get_protocol()
        in_head = isinstance(protocol, HttpConnection) and protocol.deadline.name == "header"
        out = bytes(sink.out)
        rest = judge.http(out, data, is_open=stays)
        if rest:
            judge.frames(rest)
            out = out[: -len(rest)]  # a WebSocket has a target of its own
        sink.lose()
        await world.rest(lambda: world.runtime.counts().in_flight == 0, "nothing goes on")
        world.check_silence()
        _check_time(began)
        return judge.comparable(out), stays, in_head

    def _is_at_rest(self, sink: Sink) -> bool:
        if sink.closing:
            return True
        if self._world.runtime.counts().in_flight:
            return False
        connection = sink.get_protocol()
        if not isinstance(connection, HttpConnection):
            return True
        current = connection._current  # noqa: SLF001 - what the invariants are about
        if connection._unsent:  # noqa: SLF001 - as above
            return False
        if current is not None:
            return current.streaming
        return connection.idle or connection._closing  # noqa: SLF001 - as above

    def _check_kept(self, sink: Sink, data: bytes) -> None:
        connection = sink.get_protocol()
        if sink.closing or not isinstance(connection, HttpConnection):
            return
        kept = connection._waiting_bytes + len(connection._unparsed or b"")  # noqa: SLF001 - as above
        reader = connection._reader  # noqa: SLF001 - as above
        if reader is not None:
            kept += reader._body_size if not reader.at_rest else 0  # noqa: SLF001 - as above
            if reader._head_size > MAX_HEADER_BYTES:  # noqa: SLF001 - as above
                raise Finding("a head longer than the limit is kept")
        if kept > 2 * MAX_BODY_BYTES + MAX_HEADER_BYTES + _SLICE + len(data):
            raise Finding(f"{kept} bytes are kept")
        if len(connection._waiting) > MAX_PIPELINED + _SLICE // 16:  # noqa: SLF001 - as above
            raise Finding(f"{len(connection._waiting)} requests wait")  # noqa: SLF001 - as above
        if connection._current is None and not connection.deadline.name:  # noqa: SLF001 - as above
            raise Finding("it waits for the client without a time limit")


def _same_answers(one: Answers, other: Answers) -> bool:
    """Whether two plays came to the same. A head that never ends is refused once it is certainly too long,
    which one read shows a little earlier than several."""
    if one[:2] == other[:2]:
        return True
    return any(
        refused[0] == waits[0] + judge.REFUSED and waits[2] for refused, waits in ((one, other), (other, one))
    )


class _Told:
    """The messages that a wire has found, and how it ended; wires differ in nothing else here."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def noted(self, wire: type[StreamWire]) -> type[StreamWire]:
        """The same wire, whose messages are noted before they go to the channel."""
        told = self.messages

        class Noting(wire):  # type: ignore[valid-type, misc]  # a subclass of whichever wire it is
            def deliver(self, message: bytes) -> None:
                told.append(message)
                super().deliver(message)

        return Noting


class DuplexTarget:
    """A wire that carries messages both ways, with its channel behind it."""

    name: str
    corpus: Sequence[bytes]
    changes: Sequence[Change]

    def __init__(self, world: World) -> None:
        self._world = world

    def made(self, rng: Random) -> bytes:
        """Messages in a row, one of them changed."""
        return mutate.made(self.corpus, self.changes, rng)

    async def check(self, data: bytes, rng: Random) -> None:
        """Send it whole and in pieces. Of several broken rules either may be named when it is closed."""
        whole = await self._play([data])
        parts = await self._play(mutate.cut(data, rng))
        if (whole[0], whole[1] > 0, whole[2]) != (parts[0], parts[1] > 0, parts[2]):
            raise Finding(f"in pieces it is read otherwise: {whole!r} and {parts!r}")

    async def _play(self, pieces: Sequence[bytes]) -> tuple[list[bytes], int, bool]:
        """The messages that were read, the code it was closed with, and whether it stays open."""
        world, began = self._world, time.process_time()
        sink, told = Sink(world.loop, world.sock), _Told()
        wire = self._connect(sink, told)
        for piece in pieces:
            await world.rest(lambda: sink.can_deliver or sink.closing, "it reads on")
            if sink.closing:
                break
            sink.deliver(piece)
        await world.rest(lambda: self._is_at_rest(sink, wire), "everything is answered")
        if not (sink.closing or wire._leaving):  # noqa: SLF001 - what the invariants are about
            self._check_kept(wire)
        code = self._judge(bytes(sink.out))
        stays = not (sink.closing or sink.ended)
        sink.lose()
        counts = world.runtime.counts
        await world.rest(lambda: counts().in_flight == counts().streams == 0, "nothing goes on")
        world.check_silence()
        _check_time(began)
        return told.messages, code, stays

    def _is_at_rest(self, sink: Sink, wire: StreamWire) -> bool:
        if sink.closing or wire._leaving:  # noqa: SLF001 - as above
            return True
        return not sink.paused and self._world.runtime.counts().in_flight == 0

    def _connect(self, sink: Sink, told: _Told) -> StreamWire:
        raise NotImplementedError

    def _check_kept(self, wire: Any) -> None:
        raise NotImplementedError

    def _judge(self, out: bytes) -> int:
        raise NotImplementedError


class LinesTarget(DuplexTarget):
    """A connection of the TCP listener."""

    name = "lines"
    corpus = shapes.LINES
    changes = mutate.JSON

    def _connect(self, sink: Sink, told: _Told) -> StreamWire:
        class Noting(told.noted(TcpWire)):  # type: ignore[misc]  # as there
            def data_received(self, data: bytes) -> None:
                if self._settled is not None and not self._leaving:
                    told.messages.extend(self._lines.whole(data))  # they go straight to the channel
                super().data_received(data)

        wire: TcpWire = Noting(TcpServer(self._world.runtime.channels))
        sink.connect(wire)
        return wire

    def _check_kept(self, wire: Any) -> None:
        if wire._lines._size > MAX_BODY_BYTES + 1:  # noqa: SLF001 - as above
            raise Finding("a line longer than the limit is kept")
        if wire._lines.in_line and wire._line_timer is None:  # noqa: SLF001 - as above
            raise Finding("it waits for the end of a line without a time limit")

    def _judge(self, out: bytes) -> int:
        judge.lines(out)
        return 0


class FramesTarget(DuplexTarget):
    """A connection after its upgrade to WebSocket."""

    name = "websocket"
    corpus = shapes.FRAMES
    changes = mutate.FRAMES

    def made(self, rng: Random) -> bytes:
        """Changed messages in frames, or frames that are changed."""
        return mutate.framed_made(self.changes, rng)

    def _connect(self, sink: Sink, told: _Told) -> StreamWire:
        wire: Any = told.noted(WebSocketWire)(self._world.runtime.channels, set())  # type: ignore[call-arg]
        wire.take_over(sink, b"", Peer("websocket", "127.0.0.1"))
        return wire  # type: ignore[no-any-return]

    def _check_kept(self, wire: Any) -> None:
        pieces = sum(map(len, wire._pieces))  # noqa: SLF001 - as above
        kept = pieces + len(wire._protocol.reader.buffer) + wire._frames.kept  # noqa: SLF001 - as above
        if kept > MAX_BODY_BYTES + 14:
            raise Finding(f"{kept} bytes of a message are kept")
        if (wire._in_message or wire._frames.kept) and wire._message_timer is None:  # noqa: SLF001 - as above
            raise Finding("it waits for the end of a message without a time limit")
        if wire._ping_timer is None:  # noqa: SLF001 - as above
            raise Finding("nobody looks whether the client still lives")

    def _judge(self, out: bytes) -> int:
        return judge.frames(out)


def _check_time(began: float) -> None:
    took = time.process_time() - began
    if took > _PLAY_LIMIT_S:
        raise Finding(f"it took {took:.1f} s")


ALL: Final = {each.name: each for each in (JsonRpcTarget, LinesTarget, FramesTarget, HttpTarget)}


async def warmed(target: Target) -> Target:
    """The target after it has seen its whole corpus: what starts lazily has started.

    Raises:
        Finding: the corpus itself is answered otherwise than it must be.
    """
    rng = Random(0)  # noqa: S311 - it must come out the same again
    for data in target.corpus:
        await target.check(data, rng)
        await asyncio.sleep(0)
    return target
