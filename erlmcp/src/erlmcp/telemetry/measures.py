"""What each alert rule looks at, read from the server itself instead of from Prometheus.

A measure says for each subject (a component, a volume, a reason) how large something is and which bounds of
the rule it is held against. Numbers stand in ``thresholds.json`` only, which is made from the rules. How
long a bound must be passed is ``alerts``. What no server can tell of itself is in ``OUTSIDE``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import msgspec

from erlmcp.telemetry.history import History, Sample, Window
from erlmcp.telemetry.reading import Reading

Unit = Literal["share", "seconds", "per-second", "count", "days", "up"]
Bound = tuple[str, float]
_DAY_S: Final = 86_400
_STARTED_S: Final = 60
"""Before that a worker is busy because it starts."""

OUTSIDE: Final = {
    "ErlmcpTargetDown": "a server that does not answer cannot say so",
    "ErlmcpTargetAbsent": "only Prometheus knows what it should look at",
    "ErlmcpMetricsMissing": "a server that is read with other metrics is not this one",
    "ErlmcpServerRestarting": "a server that has restarted remembers nothing",
    "ErlmcpWatchdog": "it tells that alerts reach people, and they leave from elsewhere",
}
"""Alerts that the server cannot judge, and why."""


class Rule(msgspec.Struct, frozen=True):
    """One alert rule, as far as its numbers go.

    Attributes:
        bounds: what is compared, in the order of the rule.
        window_s: how far back it looks; zero for what holds now.
        for_s: how long it must hold before it fires.
        reasons: pattern of the reasons that it looks at; empty when it looks at no or all reasons.
    """

    alert: str
    severity: Literal["critical", "warning", "none"]
    bounds: tuple[Bound, ...]
    window_s: float
    for_s: float
    reasons: str


@dataclass(frozen=True)
class Measured:
    """How large something is.

    Attributes:
        subject: of what; empty when there is only one.
        pairs: values and the bounds they are held against; all must be passed. The first is shown. A value
            is None when nothing was there to be measured.
    """

    subject: str
    pairs: tuple[tuple[float | None, Bound], ...]

    @property
    def is_beyond(self) -> bool:
        """Whether every bound is passed."""
        return all(_passes(value, bound) for value, bound in self.pairs)


@dataclass(frozen=True)
class Look:
    """What measures are read from."""

    reading: Reading
    history: History

    @cached_property
    def sample(self) -> Sample:
        """The reading's."""
        return Sample.of(self.reading)

    def window(self, rule: Rule) -> Window:
        """So far back as the rule looks."""
        return self.history.window(self.sample, rule.window_s)


@dataclass(frozen=True)
class Measure:
    """What an alert is about.

    Attributes:
        what: in words, of the first value.
        read: the values.
    """

    what: str
    unit: Unit
    read: Callable[[Look, Rule], Iterator[Measured]]


def _passes(value: float | None, bound: Bound) -> bool:
    sign, limit = bound
    if value is None:
        return False
    return value > limit if sign == ">" else value < limit if sign == "<" else value == limit


def _components(look: Look, rule: Rule) -> Iterator[Measured]:
    for each in look.reading.capacity.components:
        if each["critical"] == (rule.severity == "critical"):
            yield Measured(each["name"], ((float(each["status"] == "up"), rule.bounds[0]),))


def _restarts(look: Look, rule: Rule) -> Iterator[Measured]:
    window = look.window(rule)
    yield Measured("", ((window.newer.restarts - window.older.restarts, rule.bounds[0]),))


def _stuck(look: Look, rule: Rule) -> Iterator[Measured]:
    window = look.window(rule)
    yield Measured("", ((window.newer.stuck - window.older.stuck, rule.bounds[0]),))


def _faults(look: Look, rule: Rule) -> Iterator[Measured]:
    window = look.window(rule)
    ratio = _ratio(window.faults, window.requests)
    yield Measured("", ((ratio, rule.bounds[0]), (window.faults, rule.bounds[1])))


def _tool_errors(look: Look, rule: Rule) -> Iterator[Measured]:
    window = look.window(rule)
    errors = window.newer.tool_errors - window.older.tool_errors
    ratio = _ratio(errors, window.newer.tool_calls - window.older.tool_calls)
    yield Measured("", ((ratio, rule.bounds[0]), (errors, rule.bounds[1])))


def _dependencies(look: Look, rule: Rule) -> Iterator[Measured]:
    for name, (calls, failed) in sorted(look.window(rule).dependencies().items()):
        yield Measured(name, ((_ratio(failed, calls), rule.bounds[0]), (failed, rule.bounds[1])))


def _spans(look: Look, rule: Rule) -> Iterator[Measured]:
    window = look.window(rule)
    sent, failed = window.spans("sent"), window.spans("failed")
    if look.sample.spans:
        yield Measured("", ((_ratio(failed, sent + failed), rule.bounds[0]),))


def _log_lines(look: Look, rule: Rule) -> Iterator[Measured]:
    window = look.window(rule)
    yield Measured("", ((window.newer.log_lines_lost - window.older.log_lines_lost, rule.bounds[0]),))


def _latency(look: Look, rule: Rule) -> Iterator[Measured]:
    yield Measured("", ((look.window(rule).latency.quantile_s(0.95), rule.bounds[0]),))


def _memory(look: Look, rule: Rule) -> Iterator[Measured]:
    for each in look.reading.capacity.memory:
        yield Measured(each.bound, ((_ratio(each.used_bytes, each.limit_bytes), rule.bounds[0]),))


def _cpu(look: Look, rule: Rule) -> Iterator[Measured]:
    window = look.window(rule)
    if window.seconds >= _STARTED_S:
        yield Measured("", ((_ratio(window.cpu_of_all, look.reading.capacity.cores), rule.bounds[0]),))


def _saturated(look: Look, rule: Rule) -> Iterator[Measured]:
    some, busy = rule.bounds
    window = look.window(rule)
    for each in look.reading.generations if window.seconds >= _STARTED_S else ():
        share = _ratio(window.cpu(each.generation), each.workers)
        yield Measured(each.generation, ((share, busy), (each.workers, some)))


def _lag(look: Look, rule: Rule) -> Iterator[Measured]:
    lag_s = max((each.loop_lag_s for each in look.reading.generations), default=None)
    yield Measured("", ((lag_s, rule.bounds[0]),))


def _disk(look: Look, rule: Rule) -> Iterator[Measured]:
    for each in look.reading.capacity.volumes:
        yield Measured(each.name, ((_ratio(each.free_bytes, each.size_bytes), rule.bounds[0]),))


def _disk_unknown(look: Look, rule: Rule) -> Iterator[Measured]:
    yield Measured("", ((float(not look.reading.capacity.volumes), rule.bounds[0]),))


def uses(reading: Reading) -> Iterator[tuple[str, str, float, float]]:
    """Limit, generation, what is used and what may be, in the order of the rule."""
    counted = {each.generation: each for each in reading.generations}
    for limits in reading.capacity.generations:
        each = counted.get(limits.generation)
        if each is None:
            continue
        yield "connections", each.generation, each.connections, limits.connections
        yield "streams", each.generation, each.streams, limits.streams
        yield "in-flight", each.generation, each.in_flight, limits.in_flight
        yield "threads", each.generation, each.threads_busy, limits.threads
        if limits.descriptors is not None:
            yield "descriptors", each.generation, limits.descriptors.open, limits.descriptors.limit


LIMITS: Final = ("connections", "streams", "in-flight", "threads", "descriptors")


def _near_limit(look: Look, rule: Rule) -> Iterator[Measured]:
    bounds = dict(zip(LIMITS, rule.bounds, strict=True))
    for name, generation, used, limit in uses(look.reading):
        yield Measured(f"{name} of {generation}", ((_ratio(used, limit), bounds[name]),))


def _rejected(look: Look, rule: Rule) -> Iterator[Measured]:
    window = look.window(rule)
    for reason, count in window.rejected().items():
        if re.fullmatch(rule.reasons, reason):
            yield Measured(reason, ((window.rate(count), rule.bounds[0]),))


def _flood(look: Look, rule: Rule) -> Iterator[Measured]:
    window = look.window(rule)
    yield Measured("", ((window.rate(sum(window.rejected().values())), rule.bounds[0]),))


def _expiring(look: Look, rule: Rule) -> Iterator[Measured]:
    certificate = look.reading.certificate
    if certificate is not None:
        days = (certificate.expires_at - look.reading.at) / _DAY_S
        yield Measured("", ((days, rule.bounds[0]),))


def _refused(look: Look, rule: Rule) -> Iterator[Measured]:
    window = look.window(rule)
    if look.reading.certificate is not None:
        refused = window.newer.certificates_refused - window.older.certificates_refused
        yield Measured("", ((refused, rule.bounds[0]),))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


MEASURES: Final[dict[str, Measure]] = {
    "ErlmcpComponentDown": Measure("as /ready tells", "up", _components),
    "ErlmcpWorkersRestarting": Measure("workers died", "count", _restarts),
    "ErlmcpWorkersStuck": Measure("workers stood still", "count", _stuck),
    "ErlmcpErrorRatioHigh": Measure("requests that the server failed", "share", _faults),
    "ErlmcpToolErrorsHigh": Measure("tool calls that ended in an error", "share", _tool_errors),
    "ErlmcpDependencyFailing": Measure("calls of a dependency that failed", "share", _dependencies),
    "ErlmcpSpansLost": Measure("spans that the collector did not take", "share", _spans),
    "ErlmcpLogLinesLost": Measure("lines of the log that nobody read in time", "count", _log_lines),
    "ErlmcpLatencyHigh": Measure("one in twenty takes as long or longer", "seconds", _latency),
    "ErlmcpMemoryHigh": Measure("memory in use", "share", _memory),
    "ErlmcpCpuHigh": Measure("processors in use", "share", _cpu),
    "ErlmcpWorkersSaturated": Measure("time that a worker is busy", "share", _saturated),
    "ErlmcpEventLoopLag": Measure("an event loop took to turn", "seconds", _lag),
    "ErlmcpDiskFilling": Measure("disk that is free", "share", _disk),
    "ErlmcpDiskUnknown": Measure("disks that do not answer", "count", _disk_unknown),
    "ErlmcpNearLimit": Measure("of a limit in use", "share", _near_limit),
    "ErlmcpLimitReached": Measure("clients turned away at a limit", "per-second", _rejected),
    "ErlmcpClientsThrottled": Measure("requests over their rate", "per-second", _rejected),
    "ErlmcpUnwantedTraffic": Measure("requests that are no MCP", "per-second", _rejected),
    "ErlmcpFlood": Measure("turned away in all", "per-second", _flood),
    "ErlmcpCertificateExpiring": Measure("until the certificate expires", "days", _expiring),
    "ErlmcpCertificateRefused": Measure("certificates that could not be used", "count", _refused),
}
