"""Changes to valid input: of its bytes, of its tokens, and of the structure that framings have.

Everything comes from one ``random.Random``, so that a seed gives the same inputs again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Final

from fuzz import shapes
from fuzz.world import MAX_BODY_BYTES, MAX_DEPTH, MAX_HEADER_BYTES, MAX_HEADERS

MAX_INPUT_BYTES: Final = 16_384

_NUMBERS: Final = [
    b"0",
    b"-0",
    b"1",
    b"-1",
    b"1.0",
    b"1e2",
    b"1E400",
    b"-1e400",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"9" * 400,
    b"0." + b"1" * 300,
    b"01",
    b"+1",
    b"1e",
    b"NaN",
    b"Infinity",
    b"null",
    b"true",
    b'"1"',
    b"[]",
    b"{}",
]
_STRINGS: Final = [
    b"",
    b"\\u0000",
    b"\\ud800",
    b"\\ud83c\\udf75",
    b"\\uZZZZ",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc3\xa9",
    b"\x00",
    b"\\",
    b"tools/call",
    b"initialize",
    b"2025-03-26",
    b"a" * 300,
    b"=?base64?YWRk?=",
]
_TOKENS: Final = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\0",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"ffffffffffffffff\r\n",
    b"-1\r\n",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/1.1",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\n",
    b"Connection: Upgrade\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"Trailer: x\r\n",
    shapes.SESSION,
]
_METHODS: Final = [
    b"GET",
    b"HEAD",
    b"PUT",
    b"OPTIONS",
    b"DELETE",
    b"CONNECT",
    b"TRACE",
    b"post",
    b"M-SEARCH",
    b"PRI",
]
_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")
_STRING: Final = re.compile(rb'"([^"\\\n]{0,80})"')

Change = Callable[[bytes, Random], bytes]


# -- of bytes --


def _place(data: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 1, 2, 4, 16, 64)))


def flip(data: bytes, rng: Random) -> bytes:
    """Another byte in one place."""
    start, _ = _place(data, rng)
    return data[:start] + bytes([rng.randrange(256)]) + data[start + 1 :]


def drop(data: bytes, rng: Random) -> bytes:
    """Some bytes less."""
    start, end = _place(data, rng)
    return data[:start] + data[end:]


def repeat(data: bytes, rng: Random) -> bytes:
    """Some bytes again and again."""
    start, end = _place(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 8, 40)) + data[end:]


def truncate(data: bytes, rng: Random) -> bytes:
    """Only the beginning."""
    return data[: rng.randrange(len(data) + 1)]


def insert(data: bytes, rng: Random) -> bytes:
    """A token that means something to a parser, anywhere."""
    start, _ = _place(data, rng)
    return data[:start] + rng.choice(_TOKENS) + data[start:]


# -- of JSON --


def _replace(pattern: re.Pattern[bytes], values: Sequence[bytes], data: bytes, rng: Random) -> bytes:
    found = list(pattern.finditer(data))
    if not found:
        return data
    start, end = rng.choice(found).span(pattern.groups)
    return data[:start] + rng.choice(values) + data[end:]


def number(data: bytes, rng: Random) -> bytes:
    """Another number, or something else in its place."""
    return _replace(_NUMBER, _NUMBERS, data, rng)


def string(data: bytes, rng: Random) -> bytes:
    """Another string."""
    return _replace(_STRING, _STRINGS, data, rng)


def nest(data: bytes, rng: Random) -> bytes:
    """A value that nests as deep as allowed, or one level more, or much more."""
    depth = rng.choice((MAX_DEPTH - 3, MAX_DEPTH - 2, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 500))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return _replace(_NUMBER, [opening * depth + b"1" + closing * depth], data, rng)


def fill(data: bytes, rng: Random) -> bytes:
    """A string that brings the message near the limit of its size."""
    size = max(0, MAX_BODY_BYTES - len(data) + rng.randrange(-3, 4))
    return _replace(_STRING, [b"x" * size], data, rng)


# -- of HTTP --


def content_length(data: bytes, rng: Random) -> bytes:
    """A length that is wrong, by one or by very much, or not a number."""
    wrong = [
        b"0",
        b"1",
        b"-1",
        b"+5",
        b"0x10",
        b"5, 5",
        b"",
        b"%d" % MAX_BODY_BYTES,
        b"%d" % (MAX_BODY_BYTES + 1),
        b"18446744073709551615",
        b"18446744073709551616",
        b"9" * 30,
    ]
    return _replace(re.compile(rb"Content-Length: (\d+)"), wrong, data, rng)


def head_fill(data: bytes, rng: Random) -> bytes:
    """A field that brings the head near the limit of its size, or fields near the limit of their number."""
    end = data.find(b"\r\n\r\n") + 2
    if end < 2:
        return data
    if rng.random() < 0.5:
        size = max(0, MAX_HEADER_BYTES - end - 2 - len(b"X-Fill: \r\n") + rng.randrange(-3, 4))
        more = b"X-Fill: " + b"x" * size + b"\r\n"
    else:
        more = b"X: y\r\n" * (MAX_HEADERS - data.count(b"\r\n", 0, end) + rng.randrange(-1, 4))
    return data[:end] + more + data[end:]


def request_line(data: bytes, rng: Random) -> bytes:
    """Another method."""
    _, blank, rest = data.partition(b" ")
    return rng.choice(_METHODS) + blank + rest


def to_chunks(data: bytes, rng: Random) -> bytes:
    """The same body in chunks."""
    head, end, body = data.partition(b"\r\n\r\n")
    head = re.sub(rb"Content-Length: [^\r]*", b"Transfer-Encoding: chunked", head)
    return head + end + shapes.chunked(body, [rng.randrange(1, 200) for _ in range(rng.randrange(6))])


# -- of frames --


def odd_frame(data: bytes, rng: Random) -> bytes:
    """A frame more, of any kind and of any soundness."""
    size = rng.choice((0, 1, 2, 125, 126, 127, 300, MAX_BODY_BYTES, MAX_BODY_BYTES + 1))
    payload = rng.choice(
        (b"x" * size, b"\xff" * size, rng.randbytes(min(size, 300)), rng.choice(shapes.MESSAGES))
    )
    mask = rng.choice((b"", b"\0\0\0\0", rng.randbytes(4)))
    made = shapes.frame(rng.randrange(16), payload, final=rng.random() < 0.7, mask=mask)
    if rng.random() < 0.2:  # a length that promises something else
        claimed = rng.choice((0, 2**31, 2**63, MAX_BODY_BYTES + 1))
        made = made[:1] + bytes([0xFF]) + claimed.to_bytes(8) + made[2:]
    return data + made if rng.random() < 0.5 else made + data


BYTES: Final[list[Change]] = [flip, drop, repeat, truncate, insert]
JSON: Final[list[Change]] = [*BYTES, number, string, nest, fill]
HTTP: Final[list[Change]] = [*JSON, content_length, head_fill, request_line, to_chunks]
FRAMES: Final[list[Change]] = [*JSON, odd_frame, odd_frame]


def mutated(data: bytes, changes: Sequence[Change], rng: Random) -> bytes:
    """The input after some changes, most often one or two."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        data = rng.choice(changes)(data, rng)
    return data[:MAX_INPUT_BYTES]


def made(corpus: Sequence[bytes], changes: Sequence[Change], rng: Random) -> bytes:
    """A new input: one of the corpus or several in a row, each of which may have been changed."""
    parts = [rng.choice(corpus) for _ in range(rng.choice((1, 1, 1, 1, 2, 3, 6)))]
    changed = rng.randrange(len(parts))
    parts[changed] = mutated(parts[changed], changes, rng)
    return b"".join(parts)[:MAX_INPUT_BYTES]


def framed_made(changes: Sequence[Change], rng: Random) -> bytes:
    """WebSocket input: changed messages in sound frames, or sound messages in changed frames."""
    if rng.random() < 0.5:
        messages = [mutated(rng.choice(shapes.MESSAGES), JSON, rng) for _ in range(rng.choice((1, 1, 2, 4)))]
        return b"".join(shapes.frame(1, message) for message in messages)[:MAX_INPUT_BYTES]
    return made(shapes.FRAMES, changes, rng)


def cut(data: bytes, rng: Random) -> list[bytes]:
    """The same bytes in pieces: a few, or one byte at a time."""
    if len(data) < 2:
        return [data]
    if rng.random() < 0.1 and len(data) < 600:
        return [data[index : index + 1] for index in range(len(data))]
    places = sorted({rng.randrange(1, len(data)) for _ in range(rng.choice((1, 1, 2, 5)))})
    edges = [0, *places, len(data)]
    return [data[start:end] for start, end in pairwise(edges)]
