"""Alerts on their whole way: a real server, a real Prometheus with the rules, a real Alertmanager."""

from __future__ import annotations

import subprocess
from urllib.parse import urlsplit

import pytest
import yaml
from alert_rules import ROOT, RULES_FILE, rules
from monitors import Hearing, delivering_to, hurried

ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"
ROUTES = {"critical": "pager,chat", "warning": "chat", "none": "heartbeat"}


@pytest.fixture(scope="session")
def amtool(program):
    return program("amtool", "prometheus-alertmanager")


def test_amtool_accepts_the_alertmanager_configuration(amtool):
    command = [amtool, "check-config", ALERTMANAGER]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule['alert']} {rule['labels']['severity']}")
def test_each_alert_is_routed_by_its_severity(amtool, rule):
    labels = [f"{name}={value}" for name, value in {**rule["labels"], "alertname": rule["alert"]}.items()]
    assert _routed(amtool, ALERTMANAGER, labels) == ROUTES[rule["labels"]["severity"]]


def test_a_route_that_is_lost_is_seen(amtool, tmp_path):
    document = yaml.safe_load(ALERTMANAGER.read_text())
    del document["route"]["routes"][1]
    broken = tmp_path / "alertmanager.yml"
    broken.write_text(yaml.safe_dump(document))
    assert _routed(amtool, broken, ["severity=critical"]) != ROUTES["critical"]


def _routed(amtool, config, labels):
    told = subprocess.run(
        [amtool, "config", "routes", "test", f"--config.file={config}", *labels],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return told.stdout.strip()


@pytest.fixture
def hearing():
    listening = Hearing()
    yield listening
    listening.stop()


@pytest.mark.slow
def test_a_server_that_stops_is_paged_for_and_the_page_ends_when_it_is_back(
    serve, prometheus, alertmanager, hearing, until
):
    """Slow: a Prometheus takes 5 s to begin, and then some scrapes and evaluations for each change."""
    server = serve().started()
    tells = alertmanager(delivering_to(ALERTMANAGER, hearing.url))
    watching = prometheus(
        urlsplit(server.admin).netloc, rules=hurried(RULES_FILE, 2), alertmanager=tells.address
    )
    until(lambda: watching.query("erlmcp_component_up == 1"), 30.0)
    until(lambda: {rule["health"] for rule in watching.rules()} == {"ok"}, 30.0)
    until(lambda: ("heartbeat", "ErlmcpWatchdog", "firing") in hearing.heard, 30.0)
    assert watching.alert_states("ErlmcpTargetDown") == set()

    assert server.stop() == 0
    until(lambda: "pending" in watching.alert_states("ErlmcpTargetDown"))
    until(lambda: watching.alert_states("ErlmcpTargetDown") == {"firing"})
    until(lambda: ("pager", "ErlmcpTargetDown", "firing") in hearing.heard, 30.0)
    until(lambda: ("chat", "ErlmcpTargetDown", "firing") in hearing.heard, 30.0)
    assert ("pager", "ErlmcpTargetDown", "resolved") not in hearing.heard

    serve("--admin", urlsplit(server.admin).netloc).started()
    until(lambda: ("pager", "ErlmcpTargetDown", "resolved") in hearing.heard, 30.0)
    assert {receiver for receiver, alert, _ in hearing.heard if alert == "ErlmcpWatchdog"} == {"heartbeat"}
