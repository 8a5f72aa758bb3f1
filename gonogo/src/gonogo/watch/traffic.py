"""Synthetic calls where real traffic is too thin to prove anything.

About one labelled call a second, sent only while the service gets less than that by itself. A call is
counted by the service like any other; one that gets no answer at all is counted here, because a service
that cannot be reached counts nothing. Sending never raises and never retries.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from gonogo.model.clock import Clock
from gonogo.model.errors import GonogoError
from gonogo.watch.reader import Sleep

RATE_PER_S = 1.0

Send = Callable[[], Awaitable[None]]
"""Makes one call; raises GonogoError only when no answer came."""


class SyntheticTraffic:
    """Fills the time between two evaluations with calls.

    Args:
        send: None sends nothing.
        rate_per_s: calls a second; real traffic of at least this rate turns it off.
    """

    def __init__(
        self, send: Send | None, *, clock: Clock, sleep: Sleep, rate_per_s: float = RATE_PER_S
    ) -> None:
        self._send = send
        self._clock = clock
        self._sleep = sleep
        self._rate_per_s = rate_per_s
        self._sent_at: deque[datetime] = deque(maxlen=_REMEMBERED)
        self.sent = 0
        self.unanswered = 0

    async def until(
        self,
        due: datetime,
        *,
        served: int,
        span_s: float,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Return at ``due``, having sent calls if the service got too few.

        Args:
            served: requests that the service counted in the last ``span_s`` seconds, ours included.
            interrupted: asked about once a second; True returns early.
        """
        pause_s = 1.0 / self._rate_per_s
        sending = self._send is not None and self._real_per_s(served, span_s) < self._rate_per_s
        while (left_s := (due - self._clock()).total_seconds()) > 0 and not interrupted():
            slice_ends = self._clock() + timedelta(seconds=min(pause_s, left_s))
            if sending and not self._sent_within(pause_s):
                await self._call()
            await self._sleep(max((slice_ends - self._clock()).total_seconds(), 0.0))

    def _real_per_s(self, served: int, span_s: float) -> float:
        begin = self._clock() - timedelta(seconds=span_s)
        own = sum(at > begin for at in self._sent_at)
        return max(served - own, 0) / span_s

    def _sent_within(self, span_s: float) -> bool:
        """Whether a call was made so lately that the next one is not due."""
        return bool(self._sent_at) and (self._clock() - self._sent_at[-1]).total_seconds() < span_s - _SLACK_S

    async def _call(self) -> None:
        assert self._send is not None
        self._sent_at.append(self._clock())
        try:
            await self._send()
        except GonogoError:
            self.unanswered += 1
        self.sent += 1


_REMEMBERED = 4096  # calls whose times are kept: more than any span holds at one a second
_SLACK_S = 0.01
