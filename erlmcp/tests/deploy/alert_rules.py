"""The shipped alert rules and their unit tests as data, and variants of a rule that its tests must notice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES_FILE = PROMETHEUS / "erlmcp.rules.yml"
TEST_FILES = sorted((PROMETHEUS / "tests").glob("*.yml"))
EVALUATION_INTERVAL_S = 15

_COMPARED = re.compile(r"(?P<sign>[<>]|==) (?P<number>[\d.]+)")
_COUNTING = re.compile(r"increase\(|changes\(|==|erlmcp_workers > ")


def rules() -> list[dict[str, Any]]:
    """Every alert rule."""
    groups = yaml.safe_load(RULES_FILE.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def rule_tests(alert: str) -> list[dict[str, Any]]:
    """The unit tests that ask for an alert."""
    return [
        test
        for file in TEST_FILES
        for test in yaml.safe_load(file.read_text())["tests"]
        if f'alertname="{alert}"' in str(test)
    ]


def seconds(duration: str) -> int:
    """A duration such as 5m or 45s."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


def variants(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rule with one thing wrong: each number a little off, the duration one evaluation off.

    Whatever counts whole things is off by one; ratios, seconds and rates by a twentieth.
    """
    expr = rule["expr"]
    for found in _COMPARED.finditer(expr):
        before = expr[: found.start()].splitlines()[-1] if found.start() else ""
        number = float(found["number"])
        off = 1.0 if _COUNTING.search(before + found[0]) else number / 20
        for wrong in (number - off, number + off):
            text = f"{expr[: found.start('number')]}{wrong:.6g}{expr[found.end('number') :]}"
            yield f"{found[0]} as {wrong:g}", {**rule, "expr": text}
    duration_s = seconds(rule["for"])
    for wrong_s in (duration_s - EVALUATION_INTERVAL_S, duration_s + EVALUATION_INTERVAL_S):
        if wrong_s >= 0:
            yield f"for {rule['for']} as {wrong_s}s", {**rule, "for": f"{wrong_s}s"}
