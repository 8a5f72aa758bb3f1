"""Reads systemd units, and does with one what systemd does as far as it goes without systemd running."""

from __future__ import annotations

import shlex
from pathlib import Path

from alert_rules import ROOT

FOLDER = ROOT / "deploy/systemd"
SERVICE = FOLDER / "erlmcp.service"
SOCKET = FOLDER / "erlmcp.socket"


def settings(text: str) -> dict[str, list[str]]:
    """Every setting of a unit with its values in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith(("#", "[")):
            found.setdefault(name, []).append(value)
    return found


def moved(text: str, root: Path, program: Path) -> str:
    """The unit with its folders below ``root`` and the environment's program where this one is."""
    text = text.replace("/opt/erlmcp/venv/bin/erlmcp", str(program))
    for folder in ("/opt/erlmcp", "/etc/erlmcp", "/run/erlmcp"):
        text = text.replace(folder, f"{root}{folder}")
    return text


def command(unit: dict[str, list[str]]) -> list[str]:
    """What it starts."""
    return shlex.split(unit["ExecStart"][-1])


def environment(unit: dict[str, list[str]], credentials: Path) -> dict[str, str]:
    """The variables that it sets, and those with which systemd tells what it gives."""
    pairs = (line.replace("%d", str(credentials)).split("=", 1) for line in unit["Environment"])
    watchdog = {"WATCHDOG_USEC": str(int(unit["WatchdogSec"][-1]) * 1_000_000)}
    return {"CREDENTIALS_DIRECTORY": str(credentials), **watchdog, **dict(pairs)}
