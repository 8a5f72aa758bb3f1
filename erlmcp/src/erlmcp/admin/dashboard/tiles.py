"""The numbers of now at the top of the page, with curves of the last minutes where they tell something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from erlmcp.admin.dashboard import figures
from erlmcp.admin.dashboard.html import Html, el, join
from erlmcp.admin.dashboard.view import View
from erlmcp.telemetry.history import FINE_S, Window

_MINUTES: Final = f"last {figures.span(FINE_S)}"


def numbers(view: View) -> Html:
    """All tiles."""
    title = el("h2", "Now", class_="hidden")
    return join(title, _requests(view), _errors(view), _latency(view), _processors(view), _gauges(view))


def _requests(view: View) -> Html:
    rates = [each.rate(each.requests) for each in view.curves]
    label = f"Requests a second, {_MINUTES}: highest {figures.rate(max(rates, default=0.0))}"
    value = figures.rate(view.now.rate(view.now.requests))
    return _tile("Requests a second", value, "", figures.curve(label, rates))


def _errors(view: View) -> Html:
    shares = [_share(each.errors, each) for each in view.curves]
    label = f"Share of errors, {_MINUTES}: highest {figures.share(_highest(shares))}"
    ours = f"the server's fault {figures.share(_share(view.now.faults, view.now))}"
    value = figures.share(_share(view.now.errors, view.now))
    return _tile("Errors", value, ours, figures.curve(label, shares))


def _latency(view: View) -> Html:
    medians, slowest = ([each.latency.quantile_s(part) for each in view.curves] for part in (0.5, 0.99))
    label = f"Latency p50 and p99, {_MINUTES}: p99 at most {figures.duration(_highest(slowest))}"
    shown = [figures.duration(view.now.latency.quantile_s(part)) for part in (0.5, 0.99)]
    return _tile("Latency p50 · p99", " · ".join(shown), "", figures.curve(label, medians, slowest))


def _processors(view: View) -> Html:
    used = [each.cpu_of_all for each in view.curves]
    label = f"Processors in use, {_MINUTES}: highest {max(used, default=0.0):.2f}"
    of = f"of {view.reading.capacity.cores:g}"
    return _tile("Processors", f"{view.now.cpu_of_all:.2f}", of, figures.curve(label, used))


def _gauges(view: View) -> list[Html]:
    generations = view.reading.generations
    memory = sum(each.resident_memory_bytes for each in generations)
    bounds = [
        f"{each.bound} {figures.share(each.used_bytes / each.limit_bytes)}"
        for each in view.reading.capacity.memory
        if each.limit_bytes
    ]
    return [
        _tile("Memory of workers", figures.size(memory), ", ".join(bounds)),
        _tile("In flight", figures.count(sum(each.in_flight for each in generations)), "requests"),
        _tile("Connections", figures.count(sum(each.connections for each in generations)), "open"),
        _tile("Streams", figures.count(sum(each.streams for each in generations)), "open"),
    ]


def _tile(title: str, value: str, more: str = "", curve: Html | None = None) -> Html:
    number = el("p", el("b", value), " ", el("small", more) if more else None)
    return el("div", el("h3", title), number, curve, class_="tile")


def _share(part: int, window: Window) -> float | None:
    return part / window.requests if window.requests else None


def _highest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
