"""The Grafana dashboard: current, drawn from what the server shows, and every panel has an answer.

No Grafana can be had for these tests: what it makes of the file is not proven here, its queries are.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from itertools import combinations
from urllib.parse import urlsplit

import pytest
from alert_rules import ROOT, rules

SPEC = importlib.util.spec_from_file_location("grafana_dashboard", ROOT / "scripts/grafana_dashboard.py")
MADE = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = MADE
SPEC.loader.exec_module(MADE)
DASHBOARD = json.loads(MADE.FILE.read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]


def test_the_file_is_what_the_panels_make():
    assert MADE.FILE.read_text() == MADE.text(), "run python -m scripts.grafana_dashboard"


def test_panels_have_numbers_of_their_own_and_cover_nothing():
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert not [pair for pair in combinations(places, 2) if _overlap(*pair)]


def _overlap(one, other):
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


def test_queries_use_only_names_that_the_server_shows(exported):
    used = {name for _, expr in QUERIES for name in re.findall(r"\berlmcp_\w+", expr)}
    assert len(used) > 20
    assert used <= exported


def test_a_panel_turns_red_where_its_alert_wakes_somebody():
    wakes = {rule["alert"]: rule["expr"] for rule in rules() if rule["labels"]["severity"] == "critical"}
    seen = 0
    for panel in PANELS:
        alert = re.search(r"Alert: (\w+)", panel["description"])
        if alert and alert[1] in wakes:
            sign, number = re.search(r"([<>]|==) ([\d.]+)", wakes[alert[1]]).groups()
            seen += 1
            steps = [
                (step["color"], step["value"])
                for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            ]
            if sign == ">":
                assert ("red", float(number)) in steps, panel["title"]
            else:
                assert steps[0] == ("red", None), panel["title"]
                assert steps[1][1] == (float(number) if sign == "<" else 1), panel["title"]
    assert seen > 5


@pytest.mark.slow
def test_every_panel_has_an_answer_from_a_real_prometheus(certified, prometheus, until):
    """Slow: a Prometheus takes 5 s to begin, and a rate needs two scrapes."""
    server = certified()
    watching = prometheus(urlsplit(server.admin).netloc)
    until(
        lambda: server.call("says", text="hello") and watching.query("rate(erlmcp_requests_total[1m]) > 0"),
        30.0,
    )
    empty = {
        panel["title"]
        for panel in PANELS
        for target in panel["targets"]
        if not watching.query(target["expr"].replace("$instance", ".+").replace("$__rate_interval", "1m"))
    }
    assert empty <= {"Faults", "Errors of tools", "Handlers that block", "Turned away"}
    assert empty <= {panel["title"] for panel in PANELS if "noValue" in panel["fieldConfig"]["defaults"]}
