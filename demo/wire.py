"""HTTP/1.1 for a client that never retries and never reconnects behind its caller's back.

One ``Connection`` is one TCP connection; a fault on it is raised, never mended. A client library would hide
exactly what the demo must count. Not a general client: no TLS, no redirects, no proxies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

_HEAD_BYTES_MAX = 64 * 1024
_BODY_BYTES_MAX = 4 * 1024 * 1024
_CONNECT_TIMEOUT_S = 5.0


class WireError(Exception):
    """The exchange failed below MCP. ``kind`` is a short stable word such as ``refused`` or ``closed``."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]

    @property
    def streams(self) -> bool:
        """Whether the body is a stream of server-sent events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")


class Connection:
    """One kept-alive connection. Use it from one task at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host
        self._usable = True

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        """Connect.

        Raises:
            WireError: refused, or not connected within five seconds.
        """
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(host, port, limit=_HEAD_BYTES_MAX)
        except TimeoutError:
            raise WireError("connect-timeout", f"no connection within {_CONNECT_TIMEOUT_S:g} s") from None
        except OSError as fault:
            raise WireError("refused", f"cannot connect: {fault.strerror or fault}") from fault
        return cls(reader, writer, f"{host}:{port}")

    @property
    def usable(self) -> bool:
        """Whether another request may be sent: the last answer was read to its end and nobody closed."""
        return self._usable and not self._reader.at_eof() and not self._writer.is_closing()

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Head:
        """Send one request and read the head of its answer. Read the body with ``body`` or ``chunks``.

        Raises:
            WireError: the connection broke, or what came back is not HTTP.
        """
        self._usable = False  # until the whole answer was read
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            self._writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
            await self._writer.drain()
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as fault:
            got = "before any byte of the answer" if not fault.partial else "in the head of the answer"
            raise WireError("closed", f"connection closed {got}") from None
        except asyncio.LimitOverrunError:
            raise WireError("framing", f"head of the answer is larger than {_HEAD_BYTES_MAX} bytes") from None
        except OSError as fault:
            raise WireError("closed", f"connection broke: {fault.strerror or fault}") from fault
        return _parse_head(head)

    async def body(self, head: Head) -> bytes:
        """The whole body of the answer.

        Raises:
            WireError: it is cut short or larger than 4 MiB.
        """
        parts: list[bytes] = []
        size = 0
        async for part in self.chunks(head):
            size += len(part)
            if size > _BODY_BYTES_MAX:
                raise WireError("framing", f"body of the answer is larger than {_BODY_BYTES_MAX} bytes")
            parts.append(part)
        return b"".join(parts)

    async def chunks(self, head: Head) -> AsyncIterator[bytes]:
        """The body as it comes in.

        Raises:
            WireError: it is cut short or its framing is wrong.
        """
        try:
            if head.headers.get("transfer-encoding", "").lower() == "chunked":
                async for part in self._chunked():
                    yield part
            elif head.status == 204 or "content-length" in head.headers:
                yield await self._reader.readexactly(int(head.headers.get("content-length", "0")))
            else:
                raise WireError("framing", "the answer has neither a length nor chunks")
        except asyncio.IncompleteReadError:
            raise WireError("cut", "connection closed in the body of the answer") from None
        except (ValueError, asyncio.LimitOverrunError) as fault:
            raise WireError("framing", f"the answer is not framed as HTTP: {fault}") from fault
        except OSError as fault:
            raise WireError("cut", f"connection broke: {fault.strerror or fault}") from fault
        self._usable = head.headers.get("connection", "").lower() != "close"

    async def _chunked(self) -> AsyncIterator[bytes]:
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16)
            part = await self._reader.readexactly(size + 2)
            if not part.endswith(b"\r\n"):
                raise ValueError("a chunk does not end where it says")
            if size == 0:
                return
            yield part[:-2]

    def close(self) -> None:
        """Close at once."""
        self._usable = False
        self._writer.close()


def _parse_head(head: bytes) -> Head:
    first, *fields = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
        raise WireError("framing", f"not an HTTP answer, got {first[:80]!r}")
    headers = {name.strip().lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
    return Head(int(parts[1]), headers)


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The ``data`` of each server-sent event in ``chunks``; comments and events without data are left out."""
    pending = b""
    data: list[str] = []
    async for chunk in chunks:
        *lines, pending = (pending + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].lstrip(b" ").decode())
            elif not line and data:
                text, data = "\n".join(data), []
                if text:
                    yield text
