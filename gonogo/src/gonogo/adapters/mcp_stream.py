"""Server-sent events as MCP uses them: finished bodies and open streams, read with bounds.

It knows framing only. What the messages mean is ``adapters.mcp``.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import httpx2

from gonogo.adapters.http import HttpAnswer, HttpError

MAX_EVENT_BYTES = 1024 * 1024


class EventParser:
    """Turns bytes into the data of events, wherever the bytes are cut.

    Comments, ids and retry fields are dropped; an event without data is no event.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that ``chunk`` completes.

        Raises:
            HttpError: stream.too-large.
        """
        text = self._rest + chunk
        kept_return = text.endswith(b"\r")  # its line feed may still come
        if kept_return:
            text = text[:-1]
        *lines, self._rest = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if kept_return:
            self._rest += b"\r"
        done = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                data, self._data = b"\n".join(self._data), []
                if data:
                    done.append(data)
        if len(self._rest) + sum(map(len, self._data)) > self._max_event_bytes:
            raise HttpError("stream.too-large", f"an event is larger than {self._max_event_bytes} bytes")
        return done


class EventStream:
    """An open event stream."""

    def __init__(self, response: httpx2.Response) -> None:
        self._chunks: AsyncIterator[bytes] = response.aiter_bytes()
        self._parser = EventParser()
        self._ready: deque[Mapping[str, Any]] = deque()

    @classmethod
    async def of(cls, response: httpx2.Response) -> Self:
        """The stream of ``response``.

        Raises:
            HttpError: stream.refused if the answer is not an event stream.
        """
        kind = response.headers.get("content-type", "").split(";")[0].strip()
        if response.status_code != 200 or kind != "text/event-stream":
            raise HttpError(
                "stream.refused",
                f"{response.request.method} {response.request.url}: answered {response.status_code} "
                f"{kind or 'without a type'}; expected 200 text/event-stream",
            )
        return cls(response)

    async def next(self, timeout_s: float) -> Mapping[str, Any]:
        """The next message.

        Raises:
            HttpError: http.timeout when none comes in time, stream.ended when the stream is over.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not self._ready:
                    chunk = await anext(self._chunks, None)
                    if chunk is None:
                        raise HttpError("stream.ended", "the stream ended; expected a message")
                    self._ready += [_message(data) for data in self._parser.feed(chunk)]
        except TimeoutError as error:
            raise HttpError("http.timeout", f"no message on the stream within {timeout_s:g} s") from error
        return self._ready.popleft()


def events_in(answer: HttpAnswer) -> list[Mapping[str, Any]]:
    """The messages of a finished answer, be it JSON or a stream that ended.

    Raises:
        HttpError: http.not-json or stream.too-large.
    """
    kind = (answer.header("content-type") or "").split(";")[0].strip()
    if kind == "text/event-stream":
        return [_message(data) for data in EventParser().feed(answer.body + b"\n\n")]
    if not answer.body:
        return []
    found = answer.json()
    return [found] if isinstance(found, dict) else []


def _message(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise HttpError("http.not-json", "an event's data is not JSON") from error
    if not isinstance(found, dict):
        raise HttpError("http.not-json", f"an event's data is {type(found).__name__}; expected an object")
    return found
