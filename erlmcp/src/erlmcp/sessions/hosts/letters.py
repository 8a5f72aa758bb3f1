"""What one host tells the others, as bytes: an event inside a seal that only holders of the keys can make.

A letter is a JSON object with the name of the host, a number that grows by one, and the sealed event. Whoever
can write to the Redis server but has no session key can neither read nor invent one, and a letter that is
sent again is known by its number. Sizes are bounded and every part is checked before it is used. No I/O; who
sends and who listens is ``erlmcp.sessions.hosts.redis_link``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from erlmcp.sessions.bus import BusEvent
from erlmcp.sessions.sealed import KEY_BYTES, KeyRing

MAX_EVENT_BYTES: Final = 9 * 1024 * 1024
"""Data of one event; the largest that workers send are 8 MiB and what goes with it."""
MAX_LETTER_BYTES: Final = MAX_EVENT_BYTES * 4 // 3 + 64 * 1024
MAX_KEY_CHARS: Final = 8_192
MAX_AGE_S: Final = 60.0
"""How far the clocks of two hosts may be apart, and how long a letter may be on its way."""
MAX_HOSTS: Final = 64

_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"erlmcp bus v1"


class Note(msgspec.Struct, frozen=True, array_like=True):
    """What is inside the seal: when it was written, and the event; no kind is a sign of life."""

    at_ms: int
    kind: Annotated[str, msgspec.Meta(max_length=32)] = ""
    key: Annotated[str, msgspec.Meta(max_length=MAX_KEY_CHARS)] = ""
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_EVENT_BYTES)] = b""


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: Literal[1]
    host: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    sealed: bytes


class Letter(msgspec.Struct, frozen=True):
    """A letter that was opened. ``event`` is None for a sign of life."""

    host: str
    number: int
    event: BusEvent | None


class BadLetterError(Exception):
    """Not a letter of a host that shares our keys and our time; the message says why."""


class Letters:
    """Writes the letters of one host and opens those of the others.

    Args:
        ring: the session keys; the first seals, all open.
        host: our name, 16 hexadecimal digits, new for each run of the server.
        clock: seconds of the epoch.
    """

    def __init__(self, ring: KeyRing, host: str, clock: Callable[[], float]) -> None:
        self.host = host
        self._clock = clock
        self._keys: tuple[bytes, ...] = ()
        self._known: OrderedDict[str, tuple[AESGCM, ...]] = OrderedDict()
        self._envelopes = msgspec.json.Decoder(_Envelope)
        self._notes = msgspec.msgpack.Decoder(Note)
        ring.follow("bus", self._take)

    def write(self, number: int, event: BusEvent | None) -> bytes:
        """A letter. Each number may be used for one letter only.

        Raises:
            BadLetterError: the event is too large.
        """
        at_ms = int(self._clock() * 1000)
        note = Note(at_ms) if event is None else Note(at_ms, event.kind, event.key, event.data)
        if len(note.data) > MAX_EVENT_BYTES or len(note.key) > MAX_KEY_CHARS:
            raise BadLetterError(f"an event of {len(note.data)} bytes; at most {MAX_EVENT_BYTES}")
        sealer = self._ciphers(self.host)[0]
        sealed = sealer.encrypt(_nonce(number), msgspec.msgpack.encode(note), _PURPOSE)
        return msgspec.json.encode(_Envelope(_VERSION, self.host, number, sealed))

    def writer_of(self, data: bytes) -> tuple[str, _Envelope]:
        """Who claims to have written a letter, before it is opened.

        Raises:
            BadLetterError: it is no letter.
        """
        if len(data) > MAX_LETTER_BYTES:
            raise BadLetterError(f"{len(data)} bytes; at most {MAX_LETTER_BYTES}")
        try:
            envelope = self._envelopes.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            raise BadLetterError(f"not a letter: {fault}") from None
        return envelope.host, envelope

    def open(self, envelope: _Envelope) -> Letter:
        """What is in a letter.

        Raises:
            BadLetterError: sealed with a key that we do not have, altered, too old, or not readable.
        """
        note = self._unsealed(envelope)
        if abs(self._clock() - note.at_ms / 1000) > MAX_AGE_S:
            raise BadLetterError(f"its time is more than {MAX_AGE_S:g} s from ours; are the clocks set?")
        event = BusEvent(note.kind, note.key, note.data) if note.kind else None
        return Letter(envelope.host, envelope.number, event)

    def _unsealed(self, envelope: _Envelope) -> Note:
        ciphers = self._ciphers(envelope.host)
        for cipher in ciphers:
            try:
                plain = cipher.decrypt(_nonce(envelope.number), envelope.sealed, _PURPOSE)
                note = self._notes.decode(plain)
            except InvalidTag:
                continue
            except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
                raise BadLetterError(f"its event cannot be read: {fault}") from None
            self._remember(envelope.host, ciphers)
            return note
        raise BadLetterError("none of our session keys opens it; do the hosts share them?")

    def _ciphers(self, host: str) -> tuple[AESGCM, ...]:
        """Keys of one run of one host: under each of them every number is used once."""
        known = self._known.get(host)
        if known is None:
            info = b"%b %b" % (_PURPOSE, host.encode("ascii"))
            known = tuple(
                AESGCM(HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=info).derive(key))
                for key in self._keys
            )
            if host == self.host:
                self._known[host] = known
        return known

    def _remember(self, host: str, ciphers: tuple[AESGCM, ...]) -> None:
        self._known[host] = ciphers
        self._known.move_to_end(host)
        if len(self._known) > MAX_HOSTS:
            self._known.popitem(last=False)

    def _take(self, keys: tuple[bytes, ...]) -> None:
        self._keys = keys
        self._known.clear()


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "big")
