"""Lets the tests of ``deploy/`` import what stands beside them; starts servers and what looks at them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from authority import Authority
from monitors import Alertmanager, Prometheus
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture
def monitor(program, until, tmp_path):
    """Start monitors that end with the test, each in a folder of its own."""
    running = []

    def start(kind, **options):
        folder = tmp_path / f"monitor{len(running)}"
        folder.mkdir()
        running.append(kind(program(kind.program, kind.package), folder, **options))
        until(running[-1].is_ready, 30.0)
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def prometheus(monitor):
    """Start a Prometheus that looks at one target every second."""
    return lambda target, **options: monitor(Prometheus, target=target, **options)


@pytest.fixture
def alertmanager(monitor):
    """Start an Alertmanager with this configuration."""
    return lambda config: monitor(Alertmanager, config=config)


@pytest.fixture
def certified(serve, tmp_path):
    """Start a server that speaks TLS, which alone shows every metric."""

    def start(*arguments):
        authority = Authority()
        certificate, key = authority.issue().write(tmp_path)
        env = {"ERLMCP_TLS__CERTIFICATE": str(certificate), "ERLMCP_TLS__KEY": str(key)}
        server = serve(*arguments, env=env).started()
        server.tls = authority.client_context()
        return server

    return start


@pytest.fixture
def exported(certified):
    """Every name that the page can show, also of the parts of a histogram."""
    names = set()
    for family in text_string_to_metric_families(certified().read("/metrics").body.decode()):
        parts = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + part for part in parts}
    return names
