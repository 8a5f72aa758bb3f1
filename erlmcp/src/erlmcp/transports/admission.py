"""The door of the HTTP listener when access tokens are asked for: in front of every handler but public ones.

It finds out whether the request has a good token, notes on the request whose it is, and lets it go on; or it
answers in the handler's place. Judging tokens is ``erlmcp.edge.auth``. Without ``[auth]`` there is no door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from erlmcp.edge.auth.challenge import body, challenge
from erlmcp.edge.auth.gate import Gate
from erlmcp.edge.bans import BAD_TOKEN, Bans
from erlmcp.edge.rate_limit import RateLimit
from erlmcp.protocol.grants import UNAVAILABLE, Denial, Grant
from erlmcp.telemetry.logs import Log
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.http import heads
from erlmcp.transports.http.exchange import Answering, Exchange
from erlmcp.transports.streamable_http.answers import turn_away

log = Log(__name__)
Handler = Callable[[Exchange], None]
MAX_WAITING: Final = 1_000
"""Requests whose token somebody else is asked about at one time; more are refused with 503."""

NOBODY_KNOWS: Final = Denial(503, UNAVAILABLE, "the token cannot be judged now; try again")
TOO_MANY: Final = Denial(503, UNAVAILABLE, "too many tokens are being asked about; try again")
UNAVAILABLE_STATUS: Final = 503
_RETRY: Final = b"retry-after: 5\r\n"
_OPEN: Final = b"OPTIONS"
"""A browser asks so before it sends anything; it may not send the token with it."""


class Admission:
    """Lets requests with a good token go on.

    Args:
        gate: judges tokens.
        meter: counts those that are turned away, as ``auth``.
        rate_limit: of client addresses; guesses count against it.
        bans: likewise; too many shut an address out.
    """

    def __init__(self, gate: Gate, meter: Meter, rate_limit: RateLimit, bans: Bans) -> None:
        self.gate = gate
        self._meter = meter
        self._rate_limit = rate_limit
        self._bans = bans
        self._scopes = gate.required_scopes
        self._metadata_url = gate.metadata_url
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Requests whose token is being asked about."""
        return len(self._waiting)

    def admit(self, exchange: Exchange, handler: Handler) -> None:
        """Hand the exchange on, or say why not."""
        request = exchange.request
        if request.method == _OPEN:
            handler(exchange)
            return
        verdict = self.gate.judge(request.headers, request.target)
        if verdict is not None:
            self._go_on(exchange, handler, verdict)
        elif len(self._waiting) >= MAX_WAITING:
            self.deny(exchange, TOO_MANY)
        else:
            task = self._loop.create_task(self._ask(exchange, handler))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)
            exchange.on_gone = partial(_cancel, task)

    async def _ask(self, exchange: Exchange, handler: Handler) -> None:
        request = exchange.request
        verdict: Grant | Denial = NOBODY_KNOWS
        try:
            verdict = await self.gate.ask(request.headers, request.target)
        except Exception:
            log.exception("auth.asking-failed")
        exchange.on_gone = None
        self._loop.call_soon(self._answer, exchange, handler, verdict)  # outside of any task, as usual

    def _answer(self, exchange: Exchange, handler: Handler, verdict: Grant | Denial) -> None:
        try:
            self._go_on(exchange, handler, verdict)
        except Exception:
            log.exception("auth.answering-failed")
            exchange.respond(500)

    def _go_on(self, exchange: Exchange, handler: Handler, verdict: Grant | Denial) -> None:
        if exchange.gone:
            return
        if isinstance(verdict, Denial):
            self.deny(exchange, verdict)
        else:
            self._meter.token_judged("accepted")
            exchange.request.grant = verdict
            handler(exchange)

    def deny(self, exchange: Answering, denial: Denial) -> None:
        """Turn a request away."""
        self._meter.token_judged(denial.outcome)
        if denial.status == UNAVAILABLE_STATUS:
            self._meter.rejected("auth-unavailable")
            exchange.respond(denial.status, body(denial), heads.JSON + _RETRY)
            return
        self._meter.rejected("auth")
        if denial.is_offence:
            self._bans.offended(exchange.request.peer, BAD_TOKEN)
        wait_s = self._rate_limit.guess_wait_s(exchange.request.peer)
        if wait_s:
            self._meter.rejected("rate")
            turn_away(exchange, 429, "too many requests", heads.field(b"retry-after", str(wait_s)))
            return
        told = challenge(denial, metadata_url=self._metadata_url, scopes=self._scopes)
        fields = heads.JSON + heads.field(b"www-authenticate", told)
        exchange.respond(denial.status, body(denial), fields)

    async def close(self) -> None:
        """Let nobody in any more who still waits."""
        waiting = list(self._waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
