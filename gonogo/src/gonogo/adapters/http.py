"""A bounded HTTP reader over httpx2: one request, one answer, never a second try.

It knows sizes, times and what must not be shown. It does not know MCP (``adapters.mcp``), the admin
pages (``adapters.erlmcp_admin``) or what an answer means (``checks``).
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2

from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading

MAX_BODY_BYTES = 1024 * 1024
TIMEOUT_S = 5.0
_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "mcp-session-id", "x-api-key"}
)
TOO_MANY_REQUESTS = 429
_REDACTED = "[redacted]"

Headers = Mapping[str, str]


class HttpError(GonogoError):
    """No usable answer came: the peer is dead, silent, or says too much."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back.

    Attributes:
        headers: in the order of the wire, names in lower case, repeated ones kept.
        elapsed_s: from sending to the last byte of the body, seconds.
    """

    method: str
    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    elapsed_s: float

    def header(self, name: str) -> str | None:
        """The first header of that name, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            HttpError: http.not-json.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise HttpError(
                "http.not-json", f"{self.method} {self.url}: body is not JSON, got {_excerpt(self.body)}"
            ) from error

    def as_reading(self) -> Reading:
        """The answer as evidence, with cookies, tokens and session ids taken out."""
        record = {
            "request": f"{self.method} {self.url}",
            "status": self.status,
            "headers": [[name, shown(name, value)] for name, value in self.headers],
            "elapsed_s": round(self.elapsed_s, 6),
            "body": self.body.decode("utf-8", errors="replace"),
        }
        body = json.dumps(record, ensure_ascii=False, indent=1).encode()
        return Reading(source=f"{self.method} {self.url}", media_type="application/json", body=body)


def shown(name: str, value: str) -> str:
    """A header's value as it may be shown."""
    return _REDACTED if name.lower() in _SECRET_HEADERS else value


class HttpReader:
    """Sends single requests; keeps connections open between them.

    Args:
        timeout_s: longest time for a whole request with its body, seconds.
        max_body_bytes: a longer body is a fault, not a truncated answer.
        socket_path: speak over this Unix socket instead of TCP.
        patient: obey the Retry-After of a 429 while ``timeout_s`` lasts, as a polite client does; off where
            the limit itself, or what clients feel, is measured.
    """

    def __init__(
        self,
        *,
        timeout_s: float = TIMEOUT_S,
        max_body_bytes: int = MAX_BODY_BYTES,
        socket_path: str | None = None,
        patient: bool = False,
    ) -> None:
        self._timeout_s = timeout_s
        self._patient = patient
        self._max_body_bytes = max_body_bytes
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(
                retries=0, uds=socket_path, verify=_tls(), limits=httpx2.Limits(max_connections=64)
            ),
            timeout=httpx2.Timeout(timeout_s),
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": "gonogo"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def get(self, url: str, *, headers: Headers | None = None) -> HttpAnswer:
        """GET ``url``.

        Raises:
            HttpError: http.unreachable, http.timeout, http.too-large or http.bad-answer.
        """
        return await self.request("GET", url, headers=headers)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Headers | None = None,
        content: bytes | None = None,
        timeout_s: float | None = None,
    ) -> HttpAnswer:
        """Send one request and read its whole answer.

        Raises:
            HttpError: http.unreachable, http.timeout, http.too-large or http.bad-answer.
        """
        limit_s = timeout_s if timeout_s is not None else self._timeout_s
        deadline = time.monotonic() + limit_s
        while True:
            answer = await self._once(method, url, headers, content, limit_s)
            wait_s = _asked_to_wait_s(answer)
            if not self._patient or wait_s is None or time.monotonic() + wait_s > deadline:
                return answer
            await asyncio.sleep(wait_s)

    async def _once(
        self, method: str, url: str, headers: Headers | None, content: bytes | None, limit_s: float
    ) -> HttpAnswer:
        begun = time.monotonic()
        try:
            async with (
                asyncio.timeout(limit_s),
                self.stream(method, url, headers=headers, content=content, timeout_s=limit_s) as response,
            ):
                body = await self._body(response, method, url)
        except TimeoutError as error:
            raise HttpError(
                "http.timeout", f"{method} {url}: no complete answer within {limit_s:g} s"
            ) from error
        return HttpAnswer(
            method=method,
            url=url,
            status=response.status_code,
            headers=_header_pairs(response),
            body=body,
            elapsed_s=time.monotonic() - begun,
        )

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Headers | None = None,
        content: bytes | None = None,
        timeout_s: float | None = None,
    ) -> AsyncIterator[httpx2.Response]:
        """An answer whose body is read by the caller, who bounds it; ``timeout_s`` bounds each wait.

        Raises:
            HttpError: as ``request``.
        """
        limit_s = timeout_s if timeout_s is not None else self._timeout_s
        try:
            async with self._client.stream(
                method, url, headers=dict(headers or {}), content=content, timeout=httpx2.Timeout(limit_s)
            ) as response:
                yield response
        except httpx2.TimeoutException as error:
            raise HttpError("http.timeout", f"{method} {url}: silent for {limit_s:g} s") from error
        except (httpx2.ProtocolError, httpx2.DecodingError) as error:
            raise HttpError("http.bad-answer", f"{method} {url}: answer is not HTTP, {error}") from error
        except (httpx2.TransportError, httpx2.InvalidURL, OSError) as error:
            what = str(error) or type(error).__name__
            raise HttpError("http.unreachable", f"{method} {url}: cannot be reached, {what}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _body(self, response: httpx2.Response, method: str, url: str) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self._max_body_bytes:
                raise HttpError(
                    "http.too-large",
                    f"{method} {url}: body is larger than {self._max_body_bytes} bytes",
                )
        return bytes(body)


def _asked_to_wait_s(answer: HttpAnswer) -> float | None:
    """How long a 429 asks to wait, seconds; None if it does not say in seconds, or is not a 429."""
    asked = answer.header("retry-after") if answer.status == TOO_MANY_REQUESTS else None
    return float(asked) if asked is not None and asked.isascii() and asked.isdigit() else None


def _header_pairs(response: httpx2.Response) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in response.headers.multi_items())


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _excerpt(body: bytes) -> str:
    return repr(body[:60].decode("utf-8", errors="replace"))
