"""Asking an issuer something over HTTP: bounded in time and size, never redirected, never compressed.

Only URLs that the configuration or the metadata of a configured issuer names come here, none from a token.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec

from erlmcp.config.urls import is_loopback

MAX_ANSWER_BYTES: Final = 512 * 1024
"""Some issuers publish many keys with their certificates; this is far beyond any."""

_PLAIN: Final = {"accept": "application/json", "accept-encoding": "identity"}


class FetchError(Exception):
    """The issuer did not answer, or not with what was asked for. Its text holds no secret."""


class Fetcher:
    """Asks issuers; one for a worker."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._clients: dict[bool, httpx2.AsyncClient] = {}

    async def json(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> dict[str, Any]:
        """The JSON object at a URL.

        Args:
            url: https, or loopback.
            form: is posted; without it the URL is only read.
            credentials: user and password of HTTP Basic.

        Raises:
            FetchError: no answer in time, another status than 200, too long, or no JSON object.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._body(url, form, credentials)
            return msgspec.json.decode(body, type=dict[str, Any])
        except TimeoutError:
            raise FetchError(f"no answer within {self._timeout_s:g} s from {url}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ssl.SSLError) as fault:
            raise FetchError(f"no answer from {url}: {type(fault).__name__} {fault}") from fault
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise FetchError(f"no JSON object at {url}") from None

    async def _body(
        self, url: str, form: Mapping[str, str] | None, credentials: tuple[str, str] | None
    ) -> bytes:
        request = self._client(url).stream(
            "GET" if form is None else "POST",
            url,
            headers=_PLAIN,
            data=form,
            auth=httpx2.BasicAuth(*credentials) if credentials else None,
        )
        async with request as answer:
            if answer.status_code != 200:
                raise FetchError(f"status {answer.status_code} from {url}")
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise FetchError(f"a compressed answer from {url}")
            body = bytearray()
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise FetchError(f"more than {MAX_ANSWER_BYTES} bytes from {url}")
            return bytes(body)

    def _client(self, url: str) -> httpx2.AsyncClient:
        """This machine is never asked through a proxy."""
        local = is_loopback(urlsplit(url).hostname or "")
        if local not in self._clients:
            self._clients[local] = httpx2.AsyncClient(
                verify=ssl.create_default_context(),
                trust_env=not local,
                follow_redirects=False,
                timeout=self._timeout_s,
                limits=httpx2.Limits(max_connections=32, max_keepalive_connections=4),
            )
        return self._clients[local]

    async def close(self) -> None:
        """Close what is open."""
        for client in self._clients.values():
            await client.aclose()
