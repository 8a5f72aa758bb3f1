"""What the calls of one worker share: the guest, the counters, and how many of them there are."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from erlmcp.config.schema import Settings
from erlmcp.dispatch.at_once import Turn
from erlmcp.dispatch.guest import Guest
from erlmcp.dispatch.kernel import Kernel
from erlmcp.dispatch.listed_tools import ListedTools
from erlmcp.dispatch.tasks.requests import TaskRequests
from erlmcp.dispatch.tool_schemas import ToolSchemas
from erlmcp.edge.addresses import anybody, stranger
from erlmcp.edge.auth.scopes import ScopeRules
from erlmcp.edge.bans import MALFORMED, Bans
from erlmcp.edge.connection_limit import ConnectionLimit
from erlmcp.edge.proxies import Proxies
from erlmcp.edge.rate_limit import CALLS, RateLimit
from erlmcp.edge.shared_rates import SharedRates
from erlmcp.edge.shedding import Shedding
from erlmcp.protocol.faults import OVERLOADED, RATE_LIMITED, TOO_MANY_STREAMS, Fault
from erlmcp.protocol.grants import Grant
from erlmcp.protocol.jsonrpc import Request
from erlmcp.sessions.bus import Bus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.telemetry.access import AccessLog
from erlmcp.telemetry.correlation import Correlation
from erlmcp.telemetry.logs import Log, fields_of
from erlmcp.telemetry.meter import Meter
from erlmcp.telemetry.refusals import Refusals
from erlmcp.transports.http.exchange import Answering
from erlmcp.transports.http.request import HttpRequest
from erlmcp.transports.streamable_http.answers import refuse

log = Log(__name__)

TRANSPORT: Final = "streamable-http"
_FAILED: Final = ("server_error", "timeout")
"""Outcomes that are logged even where not every request has its line."""
_TICK_SLACK_S: Final = 0.001


class RunningCall(Protocol):
    """What the service needs of a request that is being served, over whatever transport."""

    client: str
    """Under which name it is counted; empty if nobody counts it."""

    @property
    def is_listen(self) -> bool:
        """Whether it is a listen stream, which stays open until somebody ends it."""

    def end_listen(self) -> None:
        """End a listen stream with the result it is owed."""

    def abort(self) -> set[asyncio.Task[None]]:
        """End it now; what is returned is still cleaning up."""


class TimedCall(Protocol):
    """A call that wants to know when it has run for some time."""

    @property
    def began(self) -> float:
        """When it was started, in seconds of ``time.perf_counter``."""

    def tick(self) -> None:
        """It has."""


class Service:
    """The guest and everything that is running on it."""

    def __init__(self, guest: Guest, settings: Settings, keys: KeyRing, meter: Meter, bus: Bus) -> None:
        self.guest = guest
        self.kernel = Kernel(guest)
        self._listed_tools = ListedTools(bus, time.monotonic)
        self.tool_schemas = ToolSchemas(guest, self._listed_tools)
        self.tasks = TaskRequests(guest, self.kernel, self._listed_tools, keys, bus, settings.tasks, meter)
        self.settings = settings
        self.meter = meter
        self.loop = asyncio.get_running_loop()
        self.turn = Turn(self.loop)
        self.traces = bool(settings.trace.endpoint)
        self.hinder: Callable[[], Awaitable[None]] | None = None
        """What an injected fault does before a request is served."""
        self.draining = False
        self.rate_limit = RateLimit(settings.limits, self.loop.time)
        self._shared_rates: SharedRates | None = None
        if settings.limits.shared:
            self._shared_rates = SharedRates(self.rate_limit.rates, bus, self.loop, self.loop.time)
        self.shedding = Shedding(settings.limits, self.loop)
        proxies = Proxies(settings.http)
        self.bans = Bans(settings, meter, bus, proxies)
        self.connection_limit = ConnectionLimit(settings, meter, self.bans, proxies)
        self.scopes = ScopeRules.of(settings.auth)
        self._access = AccessLog(__name__, self.loop, settings.log) if settings.log.access else None
        most = settings.log.refused_per_s
        self._refusals = Refusals(log, self.loop, most) if settings.log.access else None
        self._name_of = anybody if settings.limits.loopback else stranger
        self._max_in_flight = settings.limits.max_in_flight
        self._max_of_client = settings.limits.max_in_flight_per_client
        self._in_flight_of: Counter[str] = Counter()
        self.standing_streams = 0
        self._calls: set[RunningCall] = set()
        self._listens: set[RunningCall] = set()
        self._unticked: dict[TimedCall, None] = {}
        self._first_tick_s = min(settings.mcp.ping_interval_s, settings.mcp.request_timeout_s)
        self._ticker: asyncio.TimerHandle | None = None
        self._background: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Requests that are owed an answer; listen streams are not among them."""
        return len(self._calls)

    @property
    def is_full(self) -> bool:
        """Whether one more request cannot be taken."""
        return len(self._calls) >= self._max_in_flight

    def is_full_for(self, client: str) -> bool:
        """Whether one more request of this client cannot be taken."""
        return self.is_full or self._in_flight_of[client] >= self._max_of_client

    def may_be_full(self) -> bool:
        """Whether it takes a look at the client to know: false where none has a request in flight."""
        return bool(self._in_flight_of) or len(self._calls) >= self._max_in_flight

    def client_of(self, address: str, principal: str) -> str:
        """Under which name the requests of a client are counted, if they are.

        Those of this machine may come from everybody behind a proxy, unless a token says whose they are.
        """
        return principal or self._name_of(address)

    def client_of_request(self, request: HttpRequest) -> str:
        """The same of an HTTP request."""
        return self.client_of(request.peer, request.principal)

    @property
    def streams(self) -> int:
        """Streams that stay open until somebody ends them."""
        return len(self._listens) + self.standing_streams

    @property
    def logs_access(self) -> bool:
        """Whether each request has its line in the log."""
        return self._access is not None

    def turned_away(self, method: bytes, status: int, correlation: Correlation) -> None:
        """Log an answer of HTTP that refuses what never became a request of MCP."""
        if self._refusals is not None:
            self._refusals.note(method, status, correlation)

    def refuse(self, exchange: Answering, request: Request, era: str, fault: Fault) -> None:
        """Answer a request with a fault before any handler ran."""
        self.refused(request, era, fault, correlation=exchange.correlation)
        exchange.is_logged = self.logs_access
        refuse(exchange, request.id, fault)

    def refused(
        self,
        request: Request,
        era: str,
        fault: Fault,
        transport: str = TRANSPORT,
        correlation: Correlation | None = None,
    ) -> None:
        """Count a request that was answered with a fault before any handler ran."""
        self.meter.refused(request.method, era, transport, fault.outcome)
        if self._access is not None:
            self._access.note(request.method, era, fault.outcome, 0.0, correlation)

    def finished_call(
        self,
        era: str,
        outcome: str,
        seconds: float,
        transport: str,
        correlation: Correlation | None,
        tool: str,
    ) -> None:
        """As ``finished``, of a call of a tool that exists; this runs for each that is answered at once."""
        self.meter.finished("tools/call", era, transport, outcome, seconds, tool, tool_exists=True)
        if self._access is not None:
            self._access.note("tools/call", era, outcome, seconds, correlation)

    def finished(
        self,
        method: str,
        era: str,
        outcome: str,
        seconds: float,
        transport: str = TRANSPORT,
        correlation: Correlation | None = None,
        tool: str = "",
        *,
        tool_exists: bool = False,
    ) -> None:
        """Count a request that a handler served; ``correlation`` if anybody knows it."""
        self.meter.finished(method, era, transport, outcome, seconds, tool, tool_exists=tool_exists)
        if self._access is not None:
            self._access.note(method, era, outcome, seconds, correlation)
        elif outcome in _FAILED and correlation is not None:
            fields = {"method": method, "era": era, "outcome": outcome, **fields_of(correlation)}
            log.warning("request-failed", **fields, duration_ms=round(seconds * 1e3, 3))

    def rejected(self, reason: str, address: str) -> None:
        """Count what was turned away; what is no message of MCP counts against its address, too."""
        self.meter.rejected(reason)
        if reason == MALFORMED:
            self.bans.offended(address, MALFORMED)

    def has_short_way(self, tool: str, grant: Grant | None) -> bool:
        """Whether a call of a tool need not be judged further; ``fault_of`` says why if it must."""
        if self.shedding.active:
            return False
        return self.scopes is None or self.scopes.may_call(tool, grant)

    def call_wait_s(self, address: str, principal: str) -> int:
        """0 when a call of a tool may go on, and is counted; else whole seconds until it may."""
        rates = self.rate_limit  # this runs for each call
        if rates.enabled and (wait_s := rates.wait_s(address, principal)):
            return wait_s
        return rates.call_wait_s(principal or self._name_of(address))

    def fault_of(self, request: Request, address: str, grant: Grant | None, *, stream: bool) -> Fault | None:
        """Why a well-formed request may not be served; None when it may, and then it is counted as a call."""
        client = self.client_of(address, "" if grant is None else grant.principal)
        return (
            self._shed_fault(request.method)
            or self._scope_fault(request, grant)
            or self._call_rate_fault(request.method, client)
            or self.capacity_fault(stream=stream, client=client)
        )

    def _shed_fault(self, method: str) -> Fault | None:
        if not self.shedding.refuses(method):
            return None
        self.meter.rejected("shed")
        return Fault(OVERLOADED, "the server has too much to do; try again later")

    def _scope_fault(self, request: Request, grant: Grant | None) -> Fault | None:
        fault = None if self.scopes is None else self.scopes.fault(request.method, request.params, grant)
        if fault is not None:
            self.meter.rejected("scope")
        return fault

    def _call_rate_fault(self, method: str, client: str) -> Fault | None:
        wait_s = self.rate_limit.call_wait_s(client) if method in CALLS else 0
        if not wait_s:
            return None
        self.meter.rejected("rate")
        return Fault(RATE_LIMITED, "too many calls", {"retryAfterS": wait_s})

    def capacity_fault(self, *, stream: bool, client: str = "") -> Fault | None:
        """Why one more cannot be taken; None when it can."""
        if stream:
            if self.streams >= self.settings.mcp.max_streams:
                self.meter.rejected("streams")
                return Fault(TOO_MANY_STREAMS, "too many open streams")
        elif self.is_full:
            self.meter.rejected("in-flight")
            return Fault(OVERLOADED, "too many requests are being handled")
        elif self.is_full_for(client):
            self.meter.rejected("in-flight-per-client")
            return Fault(RATE_LIMITED, "too many requests of this client are being handled")
        return None

    def call_began(self, call: RunningCall) -> None:
        """Count a call."""
        (self._listens if call.is_listen else self._calls).add(call)
        if call.client and not call.is_listen:
            self._in_flight_of[call.client] += 1

    def call_ended(self, call: RunningCall) -> None:
        """Let a call go."""
        of_its_kind = self._listens if call.is_listen else self._calls
        if call not in of_its_kind:
            return
        of_its_kind.remove(call)
        if call.client and not call.is_listen:
            self._in_flight_of[call.client] -= 1
            if not self._in_flight_of[call.client]:
                del self._in_flight_of[call.client]

    def tick_later(self, call: TimedCall) -> None:
        """Call its ``tick`` once when the first ping would be due, or its time is up, if it still runs then.

        One timer for all calls goes off when the oldest may have become slow. Most end long before, and a
        timer for each would cost them more than all that is counted here. Their order is that of age.
        """
        self._unticked[call] = None
        if self._ticker is None:
            self._ticker = self.loop.call_later(self._first_tick_s, self._tick)

    def no_tick(self, call: TimedCall) -> None:
        """The call is over."""
        self._unticked.pop(call, None)

    def _tick(self) -> None:
        self._ticker = None
        now = time.perf_counter()
        while self._unticked:
            call = next(iter(self._unticked))
            left_s = call.began + self._first_tick_s - now
            if left_s > _TICK_SLACK_S:
                self._ticker = self.loop.call_later(left_s, self._tick)
                return
            del self._unticked[call]
            call.tick()

    def end_listeners(self) -> None:
        """Let every listen stream end with its final result."""
        if self.guest.ends_listeners:
            self.guest.end_listeners()
        else:
            for call in list(self._listens):
                call.end_listen()

    def in_background(self, task: asyncio.Task[None]) -> None:
        """Keep a task that nobody waits for from being collected."""
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self, timeout_s: float) -> None:
        """Cancel whatever still runs, and give it some time to clean up after itself."""
        self._listed_tools.close()
        self.tasks.close()
        tasks = set(self._background)
        for call in [*self._calls, *self._listens]:
            tasks |= call.abort()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        await self.tasks.settle(timeout_s)
        self.turn.close()
        self.bans.close()
        self.shedding.close()
        if self._refusals is not None:
            self._refusals.close()
        if self._shared_rates is not None:
            self._shared_rates.close()
        if self._ticker is not None:
            self._ticker.cancel()
        if self._access is not None:
            self._access.flush()
