"""Counts what the request path does, with plain integers.

It is written to by the hot path, so each call is a dictionary update and nothing else; it knows no metrics
format. ``snapshot`` is what leaves the process: the supervisor merges the snapshots of all workers and the
exposition writes them out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from erlmcp.protocol.methods import METHODS

BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency histogram, seconds; a last bucket without a bound follows them."""

OUTCOMES: Final = ("ok", "tool_error", "client_error", "server_error", "timeout", "cancelled")

MAX_BLOCKERS: Final = 50
"""Calls that block the event loop and are a label of their own. Any more are ``other`` together."""

OTHER_BLOCKERS: Final = ("other", "")

MAX_TOOLS: Final = 100
"""Tools that are a label of their own. Any more are ``other`` together."""

OTHER_TOOLS: Final = "other"
MAX_TOOL_NAME: Final = 128
"""Characters of a tool's name that are shown."""


class Histogram:
    """How often each duration was seen."""

    __slots__ = ("buckets", "sum_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def timed(self) -> dict[str, Any]:
        """JSON-able."""
        return {"buckets": list(self.buckets), "sum_s": self.sum_s}


class ToolCount(Histogram):
    """The same of the calls of one tool, and how they ended."""

    __slots__ = ("outcomes",)

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: Counter[str] = Counter()

    def add(self, outcomes: Mapping[str, int], buckets: Iterable[int], sum_s: float) -> None:
        """Add what another has counted."""
        self.outcomes.update(outcomes)
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, buckets, strict=True)]
        self.sum_s += sum_s


class Meter:
    """The counters of one worker. They only grow; gauges are read from the runtime instead."""

    def __init__(self) -> None:
        self._ended: dict[tuple[str, str, str, str, str], Histogram] = {}
        """By method, era, transport, outcome and tool: all that is told of requests is summed up from it."""
        self._tool_labels: set[str] = set()
        self._refused: Counter[tuple[str, str, str, str]] = Counter()
        self._rejected: Counter[str] = Counter()
        self._blocked: dict[tuple[str, str], tuple[int, float]] = {}
        self._judged: Counter[str] = Counter()
        self.received_bytes = 0
        """Of clients, as they came over the public listeners inside TLS, if there is any."""
        self.sent_bytes = 0

    def finished(
        self,
        method: str,
        era: str,
        transport: str,
        outcome: str,
        seconds: float,
        tool: str = "",
        *,
        tool_exists: bool = False,
    ) -> None:
        """One request got its last byte, or will get none.

        Args:
            outcome: one of ``OUTCOMES``.
            tool: the one that was called, as the client said it.
            tool_exists: whether the guest is known to have it; if not, the call must have gone well before
                the name becomes a label.
        """
        ended = self._ended.get((method, era, transport, outcome, tool))
        if ended is None:
            ended = self._labelled(method, era, transport, outcome, tool, exists=tool_exists)
        ended.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        ended.sum_s += seconds

    def _labelled(
        self, method: str, era: str, transport: str, outcome: str, tool: str, *, exists: bool
    ) -> Histogram:
        """Where requests are counted that are new, or whose names are not their labels."""
        label = self._tool_label(tool, exists=exists or outcome == "ok") if tool else ""
        key = (_label(method), era, transport, outcome, label)
        found = self._ended.get(key)
        if found is None:
            found = self._ended[key] = Histogram()
        return found

    def _tool_label(self, tool: str, *, exists: bool) -> str:
        if tool in self._tool_labels:
            return tool
        label = tool[:MAX_TOOL_NAME] if exists else OTHER_TOOLS
        if label not in self._tool_labels and len(self._tool_labels) >= MAX_TOOLS:
            label = OTHER_TOOLS
        self._tool_labels.add(label)
        return label

    def refused(self, method: str, era: str, transport: str, outcome: str) -> None:
        """One request was answered before any handler ran; it says nothing about latency."""
        self._refused[_label(method), era, transport, outcome] += 1

    def rejected(self, reason: str) -> None:
        """Something was turned away or cut before or beside a request. ``reason`` is a fixed word."""
        self._rejected[reason] += 1

    def token_judged(self, outcome: str) -> None:
        """An access token was judged, or none came. ``outcome`` is a fixed word."""
        self._judged[outcome] += 1

    def blocked(self, method: str, name: str, seconds: float) -> None:
        """A call has kept the event loop from turning for so long; said by another thread than the loop's."""
        add_blocked(self._blocked, (method, name), 1, seconds)

    def snapshot(self) -> dict[str, Any]:
        """All totals so far, JSON-able.

        ``requests`` is a list of ``[method, era, transport, outcome, count]``; ``durations`` maps a method to
        ``{"buckets": counts for each of BUCKETS_S and one beyond, not cumulative; "sum_s"}``; ``rejected``
        maps a reason to a count, ``tokens`` an outcome and ``bytes`` a direction; ``blocked`` is a list of
        ``[method, name, count, seconds]``; ``tools`` maps a name to the same as a duration and ``outcomes``,
        a count for each.
        """
        requests = Counter(self._refused)
        durations: dict[str, ToolCount] = {}
        tools: dict[str, ToolCount] = {}
        for (method, era, transport, outcome, tool), ended in list(self._ended.items()):
            outcomes = {outcome: sum(ended.buckets)}
            requests[method, era, transport, outcome] += outcomes[outcome]
            durations.setdefault(method, ToolCount()).add(outcomes, ended.buckets, ended.sum_s)
            if tool:
                tools.setdefault(tool, ToolCount()).add(outcomes, ended.buckets, ended.sum_s)
        return {
            "requests": [[*labels, count] for labels, count in requests.items()],
            "durations": {method: each.timed() for method, each in durations.items()},
            "rejected": dict(self._rejected),
            "tokens": dict(self._judged),
            "bytes": {"received": self.received_bytes, "sent": self.sent_bytes},
            "blocked": [[*call, *sums] for call, sums in list(self._blocked.items())],
            "tools": {
                name: {"outcomes": dict(each.outcomes), **each.timed()} for name, each in tools.items()
            },
        }


def _label(method: str) -> str:
    return method if method in METHODS else "other"


def add_blocked(
    sums: dict[tuple[str, str], tuple[int, float]], call: tuple[str, str], count: int, seconds: float
) -> None:
    """Add to the sums of a call, by method and name; beyond ``MAX_BLOCKERS`` to those of all others."""
    if call not in sums and len(sums) >= MAX_BLOCKERS:
        call = OTHER_BLOCKERS
    had = sums.get(call, (0, 0.0))
    sums[call] = (had[0] + count, had[1] + seconds)


def tool_count(tools: dict[str, ToolCount], name: str) -> ToolCount:
    """Where calls of this tool are counted; beyond ``MAX_TOOLS`` where those of all others are."""
    found = tools.get(name)
    if found is None:
        if len(tools) >= MAX_TOOLS:
            name = OTHER_TOOLS
        found = tools.setdefault(name, ToolCount())
    return found
