"""Writes the thresholds that the server's own dashboard judges by, from the alert rules of Prometheus.

The numbers stand in ``deploy/prometheus/erlmcp.rules.yml`` and nowhere else; what is written here is a copy
that the package can carry. Run it as ``python -m scripts.alert_thresholds`` when a rule changes; a test says
when the file is behind.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "deploy/prometheus/erlmcp.rules.yml"
FILE = ROOT / "erlmcp/src/erlmcp/telemetry/thresholds.json"

_COMPARED = re.compile(r"(>|<|==) ([\d.]+)")
_WINDOW = re.compile(r"\[(\d+[smhd])\]")
_REASONS = re.compile(r'reason=~?"([^"]+)"')
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def text() -> str:
    """The file."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rows = [json.dumps(_row(rule)) for group in groups for rule in group["rules"]]
    return "[\n  " + ",\n  ".join(rows) + "\n]\n"


def _row(rule: dict[str, Any]) -> dict[str, Any]:
    """Every comparison of a rule in its order, the time it looks back, and how long it must hold."""
    windows = {_seconds(found) for found in _WINDOW.findall(rule["expr"])}
    if len(windows) > 1:
        raise ValueError(f"{rule['alert']} looks back over {sorted(windows)} seconds; expected one window")
    reasons = _REASONS.search(rule["expr"])
    return {
        "alert": rule["alert"],
        "severity": rule["labels"]["severity"],
        "bounds": [[sign, float(number)] for sign, number in _COMPARED.findall(rule["expr"])],
        "window_s": max(windows, default=0),
        "for_s": _seconds(rule["for"]),
        "reasons": reasons[1] if reasons else "",
    }


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _UNIT_S[duration[-1]]


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
