"""The page: its frame, and the parts of it that change.

Every part has an id; a part that changes is sent again as a whole, by that id. So what a browser shows after
hours of changes is what it would show if it loaded the page again. Tables are ``tables``, curves
``figures``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from erlmcp.admin.dashboard import figures, tables, tiles
from erlmcp.admin.dashboard.html import Child, Html, el, join
from erlmcp.admin.dashboard.view import View, headline

STILL_S: Final = 10
"""How often a browser without scripts loads the page again."""

_ORIGIN: Final = (
    "These are the server's own numbers, those of /metrics. Thresholds are those of the alert rules in"
    " deploy/prometheus; what to do is in docs/operating/runbooks.md."
)
WORDS: Final = {
    "well": "All is well",
    "watch": "Watch this",
    "draining": "Draining",
    "warning": "Not well",
    "critical": "Critical",
}
_ALERTS: Final = (("alert", ""), ("state", ""), ("measured", ""), ("threshold", ""))
_TOOLS: Final = (
    ("tool", ""),
    ("calls", "n"),
    ("errors", "n"),
    ("calls/s", "n"),
    ("errors now", "n"),
    ("mean", "n"),
    ("p99", "n"),
    ("share of time", "n"),
)
_METHODS: Final = (
    ("method", ""),
    ("requests", "n"),
    ("errors", "n"),
    ("a second", "n"),
    ("errors now", "n"),
    ("p50", "n"),
    ("p99", "n"),
)
_GENERATIONS: Final = (
    ("generation", ""),
    ("version", ""),
    ("state", ""),
    ("workers", "n"),
    ("died", "n"),
    ("in flight", "n"),
    ("connections", "n"),
    ("streams", "n"),
    ("CPU", "n"),
    ("memory", "n"),
    ("loop lag", "n"),
)
_LIMITS: Final = (("limit", ""), ("used", "n"), ("of", "n"), ("share", "n"))
_COMPONENTS: Final = (("part", ""), ("state", ""), ("detail", ""))
_REJECTED: Final = (("reason", ""), ("in all", "n"), ("last 5 min", "n"))
_BLOCKED: Final = (("call", ""), ("tool", ""), ("times", "n"), ("seconds", "n"))


def regions(view: View) -> dict[str, Html]:
    """What is in each part that changes, by its id."""
    return {name: write(view) for name, write in _REGIONS.items()}


def whole(view: View) -> Html:
    """All of it."""
    parts = regions(view)
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="dark light"),
        el("title", f"{WORDS[headline(view)[0]]} · {view.observation.health['guest']['name'] or 'erlmcp'}"),
        el("link", rel="icon", href="/dashboard/icon.svg", type="image/svg+xml"),
        el("link", rel="stylesheet", href="/dashboard/dashboard.css"),
        el("noscript", el("meta", http_equiv="refresh", content=str(STILL_S))),
        el("script", src="/dashboard/dashboard.js", defer=True),
    )
    body = el("body", _header(parts), _main(parts), _footer(), data_interval_s=str(view.interval_s))
    return el("html", head, body, lang="en")


def _header(parts: dict[str, Html]) -> Html:
    return el(
        "header",
        el("h1", el("span", parts["about"], id="about")),
        el(
            "p",
            el("span", "still", id="live", class_="live"),
            " ",
            el("span", parts["clock"], id="clock"),
            class_="when",
        ),
        el("div", parts["state"], id="state", role="status"),
    )


def _main(parts: dict[str, Html]) -> Html:
    quiet = el(
        "details",
        el("summary", "Rules that are quiet"),
        _table("Rules that are quiet", _ALERTS, parts["quiet"], "quiet"),
    )
    return el(
        "main",
        el("section", parts["numbers"], id="numbers", class_="numbers"),
        _section("Alerts", _table("Alerts", _ALERTS, parts["alerts"], "alerts"), quiet, wide=True),
        _section(
            "Tools",
            el("p", "Calls and errors since the start; the rest in the last 5 minutes.", class_="note"),
            _table("Tools", _TOOLS, parts["tools"], "tools"),
            wide=True,
        ),
        _section(
            "Generations", _table("Generations", _GENERATIONS, parts["generations"], "generations"), wide=True
        ),
        _section("Methods", _table("Methods", _METHODS, parts["methods"], "methods"), wide=True),
        _section("Limits", _table("Limits", _LIMITS, parts["limits"], "limits")),
        _section("Parts", _table("Parts", _COMPONENTS, parts["components"], "components")),
        el(
            "div",
            _section("Turned away", _table("Turned away", _REJECTED, parts["rejected"], "rejected")),
            _section("Blocked event loops", _table("Blocked loops", _BLOCKED, parts["blocked"], "blocked")),
            class_="stack",
        ),
    )


def _section(title: str, *children: Child, wide: bool = False) -> Html:
    return el("section", el("h2", title), *children, class_="wide" if wide else None)


def _table(label: str, columns: tuple[tuple[str, str], ...], rows: Html, name: str) -> Html:
    """A table whose roles are said, since narrow screens lay it out as something else."""
    head = [el("th", title, scope="col", role="columnheader", class_=kind or None) for title, kind in columns]
    return el(
        "table",
        el("caption", label, class_="hidden"),
        el("thead", el("tr", head, role="row"), role="rowgroup"),
        el("tbody", rows, id=name, role="rowgroup"),
        role="table",
        class_=f"table-{name}",
    )


def _footer() -> Html:
    links = [
        ("/metrics", "metrics"),
        ("/config", "configuration"),
        ("/ready", "ready"),
        ("/generations", "generations"),
    ]
    return el(
        "footer",
        el("p", _ORIGIN),
        el("nav", [el("a", text, href=target) for target, text in links], aria_label="Other pages"),
    )  # fmt: skip


def _state(view: View) -> Html:
    word, sentence = headline(view)
    return el("p", el("strong", WORDS[word]), " ", el("span", sentence), class_=f"state {word}")


def _about(view: View) -> Html:
    health = view.observation.health
    guest = health["guest"]["name"] or "erlmcp"
    age = figures.span(view.reading.at - view.reading.capacity.started_at)
    told = (
        f"{health['version']} · {view.observation.environment} · up {age} · erlmcp {health['erlmcp_version']}"
    )
    return join(guest, " ", el("small", told))


_REGIONS: Final[dict[str, Callable[[View], Html]]] = {
    "state": _state,
    "about": _about,
    "clock": lambda view: join(view.clock),
    "numbers": tiles.numbers,
    "alerts": tables.loud_alerts,
    "quiet": tables.quiet_alerts,
    "tools": tables.tools,
    "methods": tables.methods,
    "generations": tables.generations,
    "limits": tables.limits,
    "components": tables.components,
    "rejected": tables.rejected,
    "blocked": tables.blocked,
}
