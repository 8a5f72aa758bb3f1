"""GET requests of sessions: the standing stream, and coming back to a stream with ``Last-Event-ID``.

A standing stream moves to the worker at which its client opens it again. The stream of a call stays where the
call runs; a worker that a client comes to instead asks for it over the bus and passes on what it is told.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

import msgspec
from mcp_types import INVALID_REQUEST

from erlmcp.dispatch.changes import LIST_CHANGED, perhaps_missed, resource_updated
from erlmcp.protocol.faults import Fault
from erlmcp.protocol.jsonrpc import encode_notification
from erlmcp.sessions import bus as kinds
from erlmcp.sessions.asking import Question
from erlmcp.sessions.bus import Bus, BusEvent
from erlmcp.sessions.event_store import Event
from erlmcp.sessions.registry import Sessions
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.streamable_http.answers import refuse
from erlmcp.transports.streamable_http.elsewhere import ElsewhereReader, Piece, Relayed
from erlmcp.transports.streamable_http.get_stream import GetStream
from erlmcp.transports.streamable_http.live import LiveSession
from erlmcp.transports.streamable_http.service import Service
from erlmcp.transports.streamable_http.tracks import (
    STANDING,
    Track,
    Tracks,
    is_primed,
    new_name,
    position_of,
)

ELSEWHERE_S: Final = 2.0
"""How long other workers have to say that a stream is theirs."""

_MAX_HELD: Final = 256
_NOT_KEPT = Fault(INVALID_REQUEST, "the stream that Last-Event-ID names is not kept any more", status=400)
_TAKEN = Fault(INVALID_REQUEST, "the session has its GET stream", status=409)


class _Wanted(msgspec.Struct):
    """A GET that waits for another worker's answer; ``held`` is what the session is told meanwhile."""

    exchange: Exchange
    session: LiveSession
    name: str
    number: int
    held: deque[bytes]
    timer: asyncio.TimerHandle | None = None


class GetStreams:
    """All open GETs of this worker, and the standing streams that it looks after.

    Args:
        service: what all calls of this worker share.
        sessions: are in use while a stream of theirs is open.
        bus: reaches the other workers.
        tracks: the streams of calls, and what is kept of all streams.
        worker: our name on the bus.
    """

    def __init__(self, service: Service, sessions: Sessions, bus: Bus, tracks: Tracks, worker: str) -> None:
        self._service = service
        self._sessions = sessions
        self._bus = bus
        self._tracks = tracks
        self._worker = worker
        self._standing: dict[str, Track] = {}
        self._open: set[GetStream] = set()
        self._wanted: dict[str, _Wanted] = {}
        self._from_elsewhere: dict[str, Relayed] = {}
        self._to_elsewhere: dict[str, tuple[Track, ElsewhereReader]] = {}
        self._on_piece = msgspec.msgpack.Decoder(Piece)
        self._on_question = msgspec.msgpack.Decoder(Question)
        self._on_wanted = msgspec.msgpack.Decoder(tuple[str, str, int, str, bool])
        self._on_moved = msgspec.msgpack.Decoder(tuple[int, list[Event]])
        self._ears: dict[str, Callable[[BusEvent], None]] = {
            kinds.SESSION_MESSAGE: lambda event: self.say(event.key, event.data),
            kinds.SESSION_QUESTION: self._pass_question_on,
            kinds.SESSION_STREAM: self._hear_of_stream,
            kinds.SESSION_PART: lambda event: self._part_standing(event.key),
            kinds.STREAM_WANTED: lambda event: self._give(event.key, event.data),
            kinds.STREAM_PIECE: self._take_piece,
            kinds.STREAM_MOVED: self._take_over,
            kinds.STREAM_LEFT: lambda event: self._let_go(event.key),
            kinds.WORKER_GONE: lambda event: self._worker_gone(event.key),
            kinds.BUS_GAP: lambda _: self._perhaps_missed(),
        }
        self._unsubscribe = bus.subscribe(self._hear)

    # -- from the client --

    def open(self, exchange: Exchange, session: LiveSession) -> None:
        """Answer a GET of a session, now or later."""
        fault = self._service.capacity_fault(stream=True)
        if fault is not None:
            refuse(exchange, None, fault)
            return
        last_event_id = exchange.request.headers.get("last-event-id")
        if not last_event_id:
            self._open_standing(exchange, session)
            return
        position = position_of(last_event_id)
        if position is None:
            refuse(exchange, None, _NOT_KEPT)
        else:
            self._resume(exchange, session, *position)

    async def close_standing(self, sid: str) -> None:
        """Close the standing stream of a session, wherever it is; its client comes back."""
        self._bus.publish(BusEvent(kinds.SESSION_PART, sid))

    def say_all(self, message: bytes) -> None:
        """Say something to every session whose standing stream is looked after here."""
        for track in list(self._standing.values()):
            self._say(track, message)
        for wanted in self._wanted.values():
            wanted.held.append(message)

    def say(self, sid: str, message: bytes) -> None:
        """Say something to one session, if its standing stream is looked after here."""
        track = self._standing.get(sid)
        if track is not None:
            self._say(track, message)
            return
        for wanted in self._wanted_of(sid):
            wanted.held.append(message)

    def perhaps_changed(self, sid: str, uris: Collection[str]) -> None:
        """A session wanted to hear of these resources, and we did not know."""
        if self._service.guest.delivers_changes:
            for uri in uris:
                self.say(sid, resource_updated(uri))

    def forget(self, sid: str) -> None:
        """The session has ended: keep nothing of it."""
        self._drop(sid)
        self._tracks.store.forget_session(sid)

    def end_all(self) -> None:
        """Close every open GET and let the clients come back, at another worker."""
        retry = self._tracks.parting
        for stream in list(self._open):
            stream.end(retry)

    def close(self) -> None:
        """Hear no more of other workers, and leave nobody waiting for one."""
        self._unsubscribe()
        for token in list(self._wanted):
            self._give_up(token)

    # -- streams that are here --

    def _open_standing(self, exchange: Exchange, session: LiveSession) -> None:
        sid = session.facts.sid
        old = self._standing.get(sid)
        if old is not None and old.is_read:
            refuse(exchange, None, _TAKEN)
            return
        self._drop(sid)
        track = self._tracks.make(sid, new_name(STANDING), is_primed=is_primed(session.facts))
        self._look_after(track)
        self._read(exchange, session, track, 0)

    def _look_after(self, track: Track) -> None:
        self._standing[track.sid] = track
        self._bus.publish(BusEvent(kinds.SESSION_STREAM, track.sid, self._worker.encode()))
        if len(self._standing) > self._service.settings.mcp.max_streams:
            left = next((each for each in self._standing.values() if each.left_at is not None), None)
            if left is not None:
                self._drop(left.sid)

    def _resume(self, exchange: Exchange, session: LiveSession, name: str, number: int) -> None:
        sid = session.facts.sid
        standing = self._standing.get(sid)
        track = self._tracks.find(sid, name)
        if track is None and standing is not None and standing.name == name:
            track = standing
        if track is not None:
            self._read(exchange, session, track, number)
            return
        events = self._tracks.store.after(sid, name, number)
        if events is None:
            self._ask_elsewhere(exchange, session, name, number)
        else:
            over = self._tracks.make(sid, name, is_primed=is_primed(session.facts))
            self._start(exchange, session).end(over.replay(number, events))

    def _read(self, exchange: Exchange, session: LiveSession, track: Track, number: int) -> None:
        stream = self._start(exchange, session, track)
        track.attach(stream, number)
        track.left_at = None
        if self._service.draining:
            stream.end(self._tracks.parting)

    def _start(
        self, exchange: Exchange, session: LiveSession, track: Track | None = None, token: str = ""
    ) -> GetStream:
        sid = session.facts.sid

        def ended(stream: GetStream) -> None:
            self._open.discard(stream)
            session.streams.discard(stream)
            if track is not None and track.left(stream):
                track.left_at = self._service.loop.time()
            relayed = self._from_elsewhere.pop(token, None)
            if relayed is not None:
                relayed.over()
                self._bus.publish(BusEvent(kinds.STREAM_LEFT, token))

        stream = GetStream(self._service, exchange, on_ping=lambda: self._sessions.use(sid), on_end=ended)
        self._open.add(stream)
        session.streams.add(stream)
        stream.start()
        return stream

    def _say(self, track: Track, message: bytes) -> None:
        if self._is_left(track):
            self._drop(track.sid)
        else:
            track.emit(message)

    def _is_left(self, track: Track) -> bool:
        """Whether the client has been away for so long that it does not come back."""
        age_s = self._service.settings.mcp.resume_max_age_s
        return track.left_at is not None and self._service.loop.time() - track.left_at > age_s

    def _wanted_of(self, sid: str) -> list[_Wanted]:
        return [wanted for wanted in self._wanted.values() if wanted.session.facts.sid == sid]

    def _drop(self, sid: str) -> None:
        track = self._standing.pop(sid, None)
        if track is not None:
            track.part()
            self._tracks.store.forget(sid, track.name)

    # -- streams that are elsewhere --

    def _ask_elsewhere(self, exchange: Exchange, session: LiveSession, name: str, number: int) -> None:
        token = secrets.token_hex(8)
        self._wanted[token] = _Wanted(exchange, session, name, number, deque(maxlen=_MAX_HELD))
        exchange.on_gone = lambda: self._give_up(token)
        question = msgspec.msgpack.encode((self._worker, name, number, token, is_primed(session.facts)))
        self._bus.publish(BusEvent(kinds.STREAM_WANTED, session.facts.sid, question))
        waiting = self._wanted.get(token)
        if waiting is not None:
            waiting.timer = self._service.loop.call_later(ELSEWHERE_S, self._give_up, token)

    def _give_up(self, token: str) -> None:
        """No worker has the stream. A call is lost then; a standing stream can begin anew."""
        wanted = self._taken(token)
        if wanted is None or wanted.exchange.gone:
            return
        if wanted.name.startswith(STANDING):
            self._open_standing(wanted.exchange, wanted.session)
            for message in wanted.held:
                self.say(wanted.session.facts.sid, message)
        else:
            refuse(wanted.exchange, None, _NOT_KEPT)

    def _taken(self, token: str) -> _Wanted | None:
        wanted = self._wanted.pop(token, None)
        if wanted is not None and wanted.timer is not None:
            wanted.timer.cancel()
        return wanted

    def _take_piece(self, event: BusEvent) -> None:
        """Pass on what the worker says that has the stream of a call."""
        piece = self._on_piece.decode(event.data)
        wanted = self._taken(event.key)
        if wanted is not None:
            stream = self._start(wanted.exchange, wanted.session, token=event.key)
            limit_s = self._service.settings.mcp.request_timeout_s
            timer = self._service.loop.call_later(limit_s, stream.end)
            self._from_elsewhere[event.key] = Relayed(stream, piece, timer, self._tracks.parting)
        relayed = self._from_elsewhere.get(event.key)
        if relayed is not None:
            relayed.take(piece)

    def _take_over(self, event: BusEvent) -> None:
        """The standing stream is ours now, with what the worker before us has kept of it."""
        wanted = self._taken(event.key)
        if wanted is None:
            return
        number, events = self._on_moved.decode(event.data)
        sid = wanted.session.facts.sid
        self._drop(sid)
        primed = is_primed(wanted.session.facts)
        track = self._tracks.make(sid, wanted.name, is_primed=primed, number=number)
        for each, message in events:
            self._tracks.store.put(sid, track.name, each, message)
        self._look_after(track)
        told = [message for _, message in events[-_MAX_HELD:]]
        for message in wanted.held:  # it was on its way to both of us
            if message in told:
                told.remove(message)
            else:
                track.emit(message)
        self._read(wanted.exchange, wanted.session, track, wanted.number)

    def _give(self, sid: str, question: bytes) -> None:
        """Another worker asks for a stream: hand a standing one over, let a call's be read there."""
        worker, name, number, token, primed = self._on_wanted.decode(question)
        if worker == self._worker:
            return
        standing = self._standing.get(sid)
        if standing is not None and standing.name == name:
            moved = (standing.number, self._tracks.store.after(sid, name, number) or [])
            self._drop(sid)
            self._bus.publish(BusEvent(kinds.STREAM_MOVED, token, msgspec.msgpack.encode(moved)))
            return
        track = self._tracks.find(sid, name)
        running = None if track is None else track.request_id
        reader = ElsewhereReader(self._bus, token, self._worker, running, self._let_go)
        if track is not None:
            self._to_elsewhere[token] = (track, reader)
            reader.send(b"")  # it is here, even if there is nothing to say yet
            track.attach(reader, number)
            return
        events = self._tracks.store.after(sid, name, number)
        if events is not None:
            over = self._tracks.make(sid, name, is_primed=primed)
            reader.end(over.replay(number, events))

    def _let_go(self, token: str) -> None:
        found = self._to_elsewhere.pop(token, None)
        if found is not None:
            track, reader = found
            track.left(reader)

    # -- from other workers --

    def _hear(self, event: BusEvent) -> None:
        heard = self._ears.get(event.kind)
        if heard is not None:
            heard(event)
        elif event.kind in LIST_CHANGED:
            self.say_all(encode_notification(LIST_CHANGED[event.kind], None))

    def _pass_question_on(self, event: BusEvent) -> None:
        """Ask the client, if its stream is here. Whoever waits is told first: as soon as the client has the
        question it must be known where it is."""
        track = self._standing.get(event.key)
        if self._wanted_of(event.key) if track is None else not self._is_left(track):
            question = self._on_question.decode(event.data)
            self._bus.publish(BusEvent(kinds.QUESTION_TAKEN, question.key, self._worker.encode()))
            self.say(event.key, question.message)

    def _hear_of_stream(self, event: BusEvent) -> None:
        if event.data != self._worker.encode():
            self._drop(event.key)  # the client has opened its stream at another worker

    def _part_standing(self, sid: str) -> None:
        track = self._standing.get(sid)
        if track is not None:
            track.part()

    def _worker_gone(self, gone: str) -> None:
        for relayed in list(self._from_elsewhere.values()):
            relayed.worker_gone(gone)

    def _perhaps_missed(self) -> None:
        """Of what other hosts have said: changes are told once more, streams from elsewhere begin anew."""
        for relayed in list(self._from_elsewhere.values()):
            relayed.part()
        if self._service.guest.delivers_changes:
            for sid in list(self._standing):
                for message in perhaps_missed(self._sessions.subscriptions.wanted_by(sid)):
                    self.say(sid, message)
