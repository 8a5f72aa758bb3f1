"""Writes the Grafana dashboard of erlmcp from ``deploy/grafana/panels.toml``.

Panels that stand for an alert take their yellow and red from the alert's own rules, so the two cannot drift.
Run it as ``python -m scripts.grafana_dashboard`` when either changes; a test says when the file is behind.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "deploy/grafana/erlmcp.json"
RULES = ROOT / "deploy/prometheus/erlmcp.rules.yml"

PANELS = ROOT / "deploy/grafana/panels.toml"

WIDTH = 24
HEIGHT = 8
PANELS_IN_A_ROW = 3
ON = 'job="erlmcp", instance=~"$instance"'
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """One panel as its file tells it."""

    title: str
    text: str
    unit: str
    queries: list[tuple[str, str]]
    alert: str = ""
    kind: str = "timeseries"
    rare: str = ""


def rows() -> list[tuple[str, list[Panel]]]:
    """The panels by the title of their row."""
    told = tomllib.loads(PANELS.read_text(encoding="utf-8"))["rows"]
    return [(row["title"], [Panel(**panel) for panel in row["panels"]]) for row in told]


def dashboard() -> dict[str, Any]:
    """The whole dashboard, as Grafana imports it."""
    return {
        "uid": "erlmcp",
        "title": "erlmcp",
        "description": "Made by scripts/grafana_dashboard.py; what to do is in docs/operating/runbooks.md.",
        "tags": ["erlmcp"],
        "schemaVersion": 38,
        "version": 1,
        "editable": False,
        "timezone": "utc",
        "refresh": "10s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": _panels(),
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "instance",
            "label": "Server",
            "type": "query",
            "datasource": DATASOURCE,
            "query": {"query": 'label_values(up{job="erlmcp"}, instance)', "refId": "instances"},
            "refresh": 2,
            "includeAll": True,
            "allValue": ".+",
            "multi": True,
            "current": {"text": "All", "value": "$__all"},
        },
    ]


def _panels() -> list[dict[str, Any]]:
    thresholds = _thresholds()
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in rows():
        panels.append(
            {"type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}, "panels": []}
        )
        for number, panel in enumerate(row):
            down, across = divmod(number, PANELS_IN_A_ROW)
            width = WIDTH // PANELS_IN_A_ROW
            place = {"x": across * width, "y": y + 1 + down * HEIGHT, "w": width, "h": HEIGHT}
            panels.append(_panel(panel, place, thresholds))
        y += 1 + HEIGHT * -(-len(row) // PANELS_IN_A_ROW)
    for number, made in enumerate(panels, 1):
        made["id"] = number
    return panels


def _panel(
    panel: Panel, place: dict[str, int], thresholds: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": [_step("green")]},
    }
    text = panel.text
    if panel.alert:
        defaults["thresholds"]["steps"] = thresholds[panel.alert]
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
        text += f" Alert: {panel.alert}."
    if panel.rare:
        defaults["noValue"] = panel.rare
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": text,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": DATASOURCE,
                "expr": expr.replace("$on", ON),
                "legendFormat": legend,
            }
            for number, (legend, expr) in enumerate(panel.queries)
        ],
    }


def _step(colour: str, value: float | None = None) -> dict[str, Any]:
    return {"color": colour, "value": value}


def _thresholds() -> dict[str, list[dict[str, Any]]]:
    """The steps of each alert: from which value on a panel is of which colour."""
    found: dict[str, list[tuple[str, str, float]]] = {}
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            compared = re.search(r"([<>]|==) ([\d.]+)", rule["expr"])
            if compared:
                colour = "red" if rule["labels"]["severity"] == "critical" else "yellow"
                found.setdefault(rule["alert"], []).append((compared[1], colour, float(compared[2])))
    return {alert: _steps(levels) for alert, levels in found.items()}


def _steps(levels: list[tuple[str, str, float]]) -> list[dict[str, Any]]:
    """Grafana colours from a value upwards; where low is bad, the worst colour comes first."""
    signs = {sign for sign, _, _ in levels}
    if signs == {"=="}:  # whether something is up
        return [_step(levels[0][1]), _step("green", 1)]
    if signs == {"<"}:
        rising = sorted(levels, key=lambda level: level[2])
        colours = [colour for _, colour, _ in rising] + ["green"]
        return [_step(colours[0]), *(_step(colours[n + 1], level[2]) for n, level in enumerate(rising))]
    return [
        _step("green"),
        *(_step(colour, number) for _, colour, number in sorted(levels, key=lambda x: x[2])),
    ]


def text() -> str:
    """What the file must hold."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
