"""The door of the HTTP listener when access tokens are asked for: in front of every handler but public ones.

It finds out whether the request has a good token, notes on the request whose it is, and lets it go on; or it
answers in the handler's place. Judging tokens is ``erlmcp.edge.auth``. Without ``[auth]`` there is no door.
"""

from __future__ import annotations

from collections.abc import Callable

from erlmcp.edge.auth.challenge import body, challenge
from erlmcp.edge.auth.gate import Gate
from erlmcp.edge.rate_limit import RateLimit
from erlmcp.protocol.grants import Denial
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.http import heads
from erlmcp.transports.http.exchange import Answering, Exchange
from erlmcp.transports.streamable_http.answers import turn_away

Handler = Callable[[Exchange], None]
_OPEN = b"OPTIONS"
"""A browser asks so before it sends anything; it may not send the token with it."""


class Admission:
    """Lets requests with a good token go on.

    Args:
        gate: judges tokens.
        meter: counts those that are turned away, as ``auth``.
        rate_limit: of client addresses; guesses count against it.
    """

    def __init__(self, gate: Gate, meter: Meter, rate_limit: RateLimit) -> None:
        self.gate = gate
        self._meter = meter
        self._rate_limit = rate_limit
        self._scopes = gate.required_scopes

    def admit(self, exchange: Exchange, handler: Handler) -> None:
        """Hand the exchange on, or say why not."""
        request = exchange.request
        if request.method == _OPEN:
            handler(exchange)
            return
        verdict = self.gate.judge(request.headers, request.target)
        if isinstance(verdict, Denial):
            self.deny(exchange, verdict)
        else:
            request.grant = verdict
            handler(exchange)

    def deny(self, exchange: Answering, denial: Denial) -> None:
        """Turn a request away."""
        self._meter.rejected("auth")
        wait_s = self._rate_limit.wait_s(exchange.request.peer)
        if wait_s:
            self._meter.rejected("rate")
            turn_away(exchange, 429, "too many requests", heads.field(b"retry-after", str(wait_s)))
            return
        fields = heads.JSON + heads.field(b"www-authenticate", challenge(denial, scopes=self._scopes))
        exchange.respond(denial.status, body(denial), fields)
