"""The rows of every table of the page. Names come from guests and clients: they are text, whatever is in
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from erlmcp.admin.dashboard import figures
from erlmcp.admin.dashboard.html import Child, Html, el, join
from erlmcp.admin.dashboard.view import View
from erlmcp.telemetry.alerts import AlertState
from erlmcp.telemetry.history import NOTHING, Timed, methods_of, tools_of
from erlmcp.telemetry.measures import MEASURES, Bound, Unit, uses

_FULL: Final = 0.8
_ENDED: Final = frozenset({"gone", "failed"})


def loud_alerts(view: View) -> Html:
    """Rules whose bounds are passed."""
    rows = [_alert(each) for each in view.alerts_that("firing", "pending")]
    return join(rows) if rows else _nothing(4, "None fires and none is about to.")


def quiet_alerts(view: View) -> Html:
    """The others."""
    return join(_alert(each) for each in view.alerts_that("quiet", "not-measured"))


def _alert(state: AlertState) -> Html:
    measure = MEASURES[state.rule.alert]
    name = f"{state.rule.alert} · {state.subject}" if state.subject else state.rule.alert
    mark: str = state.rule.severity
    if state.standing == "firing":
        words = f"{state.rule.severity}, for {figures.span(state.since_s)}"
    elif state.standing == "pending":
        words = f"{state.rule.severity} in {figures.span(state.rule.for_s - state.since_s)}"
        mark = "watch"
    else:
        words = f"{state.rule.severity}: " + ("quiet" if state.standing == "quiet" else "nothing to measure")
        mark = "quiet"
    held = f" for {figures.span(state.rule.for_s)}" if state.rule.for_s else ""
    value = "" if state.standing == "not-measured" else f"{_value(state.value, measure.unit)} "
    limit = f"{_bound(state.bound, measure.unit)}{held}" if state.bound else figures.NONE
    return _row([("alert", name), ("state", el("span", words, class_=f"mark {mark}")),
                 ("measured", f"{value}{measure.what}"), ("threshold", limit)])  # fmt: skip


def _value(value: float | None, unit: Unit) -> str:
    if value is None:
        return figures.NONE
    match unit:
        case "share":
            return figures.share(value)
        case "seconds":
            return figures.duration(value)
        case "per-second":
            return f"{figures.rate(value)}/s"
        case "days":
            return f"{value:.1f} days"
        case "up":
            return "up" if value else "down"
    return figures.count(value)


def _bound(bound: Bound, unit: Unit) -> str:
    sign, limit = bound
    if unit == "up":
        return "down"
    if unit == "count":
        return f"{sign} {limit:g}"
    return f"{sign} {_value(limit, unit)}"


def tools(view: View) -> Html:
    """Those that cost most first."""
    seconds, lately, _ = view.history.lately(view.reading)
    spent = sum(each.sum_s for each in lately.values())
    by_cost = sorted(
        tools_of(view.reading).items(), key=lambda item: (-lately[item[0]].sum_s, -item[1].calls, item[0])
    )
    rows = []
    for name, total in by_cost:
        now = lately.get(name, NOTHING)
        part = now.sum_s / spent if spent else 0.0
        rows.append(
            _row(
                [
                    ("tool", name),
                    *_calls(total, now, seconds, ("calls", "errors", "calls/s")),
                    ("mean", figures.duration(now.mean_s)),
                    ("p99", figures.duration(now.quantile_s(0.99))),
                    ("share of time", join(el("span", figures.share(part)), figures.bar(part))),
                ]
            )
        )
    return join(rows) if rows else _nothing(8, "No tool has been called.")


def methods(view: View) -> Html:
    """Those that are asked most first."""
    seconds, _, lately = view.history.lately(view.reading)
    rows = []
    for name, total in sorted(methods_of(view.reading).items(), key=lambda item: (-item[1].calls, item[0])):
        now = lately.get(name, NOTHING)
        rows.append(
            _row(
                [
                    ("method", name),
                    *_calls(total, now, seconds, ("requests", "errors", "a second")),
                    ("p50", figures.duration(now.quantile_s(0.5))),
                    ("p99", figures.duration(now.quantile_s(0.99))),
                ]
            )
        )
    return join(rows) if rows else _nothing(7, "No request has come.")


def _calls(
    total: Timed, now: Timed, seconds: float, names: tuple[str, str, str]
) -> Iterable[tuple[str, Child]]:
    yield names[0], figures.count(total.calls)
    yield names[1], figures.count(total.errors)
    yield names[2], figures.rate(now.calls / seconds if seconds else 0.0)
    words = figures.share(now.errors / now.calls if now.calls else None)
    yield "errors now", el("span", words, class_="mark warning") if now.errors else words


def generations(view: View) -> Html:
    """Those that run, and those that have ended as long as they are remembered."""
    rows = []
    for each in view.reading.generations:
        if each.state in _ENDED and not each.counts.requests and each.state == "gone":
            continue
        rows.append(
            _row(
                [
                    ("generation", each.generation),
                    ("version", each.version),
                    ("state", el("span", each.state, class_=f"mark {_generation_mark(each.state)}")),
                    ("workers", figures.count(each.workers)),
                    ("died", figures.count(each.restarts)),
                    ("in flight", figures.count(each.in_flight)),
                    ("connections", figures.count(each.connections)),
                    ("streams", figures.count(each.streams)),
                    ("CPU", f"{view.now.cpu(each.generation):.2f}"),
                    ("memory", figures.size(each.resident_memory_bytes)),
                    ("loop lag", figures.duration(each.loop_lag_s)),
                ]
            )
        )
    return join(rows) if rows else _nothing(11, "None runs yet.")


def _generation_mark(state: str) -> str:
    return {"active": "well", "failed": "critical", "draining": "watch"}.get(state, "quiet")


def limits(view: View) -> Html:
    """What is used of what may be."""
    capacity = view.reading.capacity
    rows = [
        _limit(f"{name} of {generation}", figures.count(used), figures.count(limit), used / limit)
        for name, generation, used, limit in uses(view.reading)
        if limit
    ]
    rows += [
        _limit(
            f"memory ({each.bound})",
            figures.size(each.used_bytes),
            figures.size(each.limit_bytes),
            each.used_bytes / each.limit_bytes,
        )
        for each in capacity.memory
        if each.limit_bytes
    ]
    rows += [
        _limit(
            f"disk ({each.name})",
            figures.size(each.size_bytes - each.free_bytes),
            figures.size(each.size_bytes),
            1 - each.free_bytes / each.size_bytes,
        )
        for each in capacity.volumes
        if each.size_bytes
    ]
    return join(rows)


def _limit(name: str, used: str, limit: str, part: float) -> Html:
    mark = "warning" if part > _FULL else ""
    cells = [("limit", name), ("used", used), ("of", limit)]
    return _row([*cells, ("share", join(el("span", figures.share(part)), figures.bar(part, mark)))])


def components(view: View) -> Html:
    """What /ready tells, and what stands beside it."""
    rows = [
        _row(
            [
                ("part", each["name"]),
                ("state", el("span", each["status"], class_=f"mark {_part_mark(each['status'])}")),
                ("detail", each["detail"]),
            ]
        )
        for each in view.observation.readiness["components"]
    ]
    certificate, bus = view.reading.certificate, view.reading.bus
    if certificate is not None:
        left = figures.span(max(0.0, certificate.expires_at - view.reading.at))
        told = f"expires in {left}; taken over {certificate.renewed}, refused {certificate.refused}"
        rows.append(_row([("part", "certificate"), ("state", "in use"), ("detail", told)]))
    if bus is not None:
        told = f"{bus.hosts} other hosts, round trip {figures.duration(bus.round_trip_s)}"
        rows.append(_row([("part", "bus between hosts"), ("state", "in use"), ("detail", told)]))
    return join(rows)


def _part_mark(status: str) -> str:
    return {"up": "well", "draining": "watch"}.get(status, "critical")


def rejected(view: View) -> Html:
    """What never reached the guest."""
    lately = view.history.window(view.sample, 300.0).rejected()
    rows = [
        _row(
            [
                ("reason", reason),
                ("in all", figures.count(total)),
                ("last 5 min", figures.count(lately[reason])),
            ]
        )
        for reason, total in sorted(view.sample.rejected.items(), key=lambda item: -item[1])
    ]
    return join(rows) if rows else _nothing(3, "Nothing.")


def blocked(view: View) -> Html:
    """Calls that kept an event loop from turning."""
    found = sorted(view.reading.counts.blocked.items(), key=lambda item: -item[1][1])
    rows = [
        _row(
            [
                ("call", method),
                ("tool", name or figures.NONE),
                ("times", figures.count(times)),
                ("seconds", f"{seconds:.1f}"),
            ]
        )
        for (method, name), (times, seconds) in found
    ]
    return join(rows) if rows else _nothing(4, "None.")


_TEXT: Final = frozenset({"state", "measured", "threshold", "version", "detail"})


def _row(cells: Sequence[tuple[str, Child]]) -> Html:
    """The first cell names the row. Each knows its column, for screens that have no room for a head."""
    (first, name), *others = cells
    return el(
        "tr",
        el("th", name, scope="row", role="rowheader", data_column=first),
        [
            el("td", value, role="cell", data_column=column, class_=None if column in _TEXT else "n")
            for column, value in others
        ],
        role="row",
    )


def _nothing(columns: int, words: str) -> Html:
    return el("tr", el("td", words, role="cell", colspan=str(columns), class_="nothing"), role="row")
