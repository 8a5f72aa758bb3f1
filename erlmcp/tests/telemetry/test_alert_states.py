"""The dashboard's opinion on the shipped alert rules: the same numbers, quiet at the edge, beyond it not."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from erlmcp.telemetry.alerts import Alerts, rules
from erlmcp.telemetry.capacity import Capacity, GenerationLimits
from erlmcp.telemetry.exposition import CertificateMetrics, GenerationMetrics
from erlmcp.telemetry.history import History
from erlmcp.telemetry.measures import MEASURES, OUTSIDE
from erlmcp.telemetry.place import Descriptors, Memory, Volume
from erlmcp.telemetry.reading import Reading
from erlmcp.telemetry.totals import Counts, Histogram, tool_count

ROOT = Path(__file__).resolve().parents[3]
SPEC = importlib.util.spec_from_file_location("alert_thresholds", ROOT / "scripts/alert_thresholds.py")
MADE = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = MADE
SPEC.loader.exec_module(MADE)
DAY_S = 86_400.0


def test_the_thresholds_are_those_of_the_prometheus_rules():
    assert MADE.FILE.read_text() == MADE.text(), "run python -m scripts.alert_thresholds"


def test_each_rule_is_measured_or_said_to_be_for_others():
    assert {rule.alert for rule in rules()} == MEASURES.keys() | OUTSIDE.keys()
    assert MEASURES.keys().isdisjoint(OUTSIDE)
    assert all(OUTSIDE.values())


class Server:
    """A server whose every number can be set. It was well for an hour."""

    def __init__(self, judged=None):
        self.at = 10_000.0
        self.requests = {("tools/call", "ok"): 1_000}
        self.buckets = [0] * 15
        self.rejected = {}
        self.dependencies, self.spans = {}, {}
        self.generation = {"workers": 1, "restarts": 0, "in_flight": 0, "connections": 0, "streams": 0}
        self.cpu_s = self.lag_s = 0.0
        self.stuck = self.refused = self.lines_lost = 0
        self.up = {"http": True, "bus": True}
        self.memory, self.free = 0.1, 0.9
        self.volumes = True
        self.days = 400.0
        self.descriptors = 1
        self.history, self.alerts = History(2.0), Alerts(judged)
        self.history.add(self.reading())

    def reading(self):
        counts = Counts(rejected=dict(self.rejected), spans=Counter(self.spans))
        for name, outcomes in self.dependencies.items():
            tool_count(counts.dependencies, name).add(outcomes, [0] * 15, 0.0)
        for (method, outcome), count in self.requests.items():
            counts.requests[method, "modern", "tcp", outcome] = count
        counts.durations["tools/call"] = Histogram()
        counts.durations["tools/call"].buckets = list(self.buckets)
        generation = GenerationMetrics(
            generation="g1", version="1", state="active", resident_memory_bytes=0, cpu_s=self.cpu_s,
            counts=counts, stuck=self.stuck, loop_lag_s=self.lag_s, **self.generation,
        )  # fmt: skip
        components = [
            {"name": name, "status": "up" if up else "down", "critical": name == "http", "detail": ""}
            for name, up in self.up.items()
        ]
        capacity = Capacity(
            started_at=0.0,
            components=components,
            generations=[
                GenerationLimits("g1", 1_000, 1_000, 1_000, 1_000, Descriptors(self.descriptors, 1_000))
            ],
            memory=[Memory("machine", int(self.memory * 10**6), 10**6)],
            cores=2.0,
            volumes=[Volume("work", int(self.free * 10**6), 10**6)] if self.volumes else [],
        )
        certificate = CertificateMetrics(self.at + self.days * DAY_S, 0, self.refused)
        return Reading(self.at, "0", [generation], capacity, certificate, log_lines_lost=self.lines_lost)

    def later(self, seconds, **changes):
        """So much later, with these numbers; the state of every rule that is not quiet."""
        self.at += seconds
        for name, value in changes.items():
            setattr(self, name, value)
        states = self.alerts.judge(self.reading(), self.history)
        return {
            (each.rule.alert, each.rule.severity): each.standing
            for each in states
            if each.standing in {"firing", "pending"}
        }


def _generation(**changes):
    return {
        "generation": {"workers": 1, "restarts": 0, "in_flight": 0, "connections": 0, "streams": 0} | changes
    }


def _requests(outcome, count):
    return {"requests": {("tools/call", "ok"): 2_000 - count, ("tools/call", outcome): count}}


def _slow(bucket, count):
    buckets = [0] * 15
    buckets[0], buckets[bucket] = 1_000 - count, count
    return {"buckets": buckets}


def _calls(**outcomes):
    return {"dependencies": {"postgres": outcomes}}


W, C = "warning", "critical"
# Five minutes later: what is still quiet at its bound, what is beyond it, which alert that is.
EDGES = [
    ("ErlmcpComponentDown", C, {"up": {"http": True, "bus": True}}, {"up": {"http": False, "bus": True}}),
    ("ErlmcpComponentDown", W, {"up": {"http": True, "bus": True}}, {"up": {"http": True, "bus": False}}),
    ("ErlmcpWorkersRestarting", W, _generation(restarts=2), _generation(restarts=3)),
    ("ErlmcpWorkersStuck", W, {"stuck": 0}, {"stuck": 1}),
    ("ErlmcpErrorRatioHigh", W, _requests("timeout", 10), _requests("server_error", 11)),
    ("ErlmcpErrorRatioHigh", C, _requests("timeout", 50), _requests("timeout", 51)),
    ("ErlmcpToolErrorsHigh", W, _requests("tool_error", 250), _requests("tool_error", 251)),
    ("ErlmcpDependencyFailing", W, _calls(ok=180, error=20), _calls(ok=179, error=21)),
    ("ErlmcpDependencyFailing", W, _calls(error=10), _calls(error=11)),
    ("ErlmcpDependencyFailing", W, _calls(ok=10, cancelled=90), _calls(ok=1, error=99)),
    ("ErlmcpSpansLost", W, {"spans": {"sent": 90, "failed": 10}}, {"spans": {"sent": 89, "failed": 11}}),
    ("ErlmcpSpansLost", W, {"spans": {"unsampled": 9}}, {"spans": {"failed": 1}}),
    ("ErlmcpLogLinesLost", W, {"lines_lost": 0}, {"lines_lost": 1}),
    ("ErlmcpLatencyHigh", W, _slow(11, 50), _slow(11, 51)),
    ("ErlmcpLatencyHigh", C, _slow(13, 50), _slow(13, 51)),
    ("ErlmcpMemoryHigh", W, {"memory": 0.85}, {"memory": 0.86}),
    ("ErlmcpMemoryHigh", C, {"memory": 0.95}, {"memory": 0.96}),
    ("ErlmcpCpuHigh", W, {"cpu_s": 540.0}, {"cpu_s": 541.0}),
    ("ErlmcpWorkersSaturated", W, {"cpu_s": 270.0}, {"cpu_s": 271.0}),
    ("ErlmcpEventLoopLag", W, {"lag_s": 0.5}, {"lag_s": 0.51}),
    ("ErlmcpEventLoopLag", C, {"lag_s": 5.0}, {"lag_s": 5.1}),
    ("ErlmcpDiskFilling", W, {"free": 0.15}, {"free": 0.14}),
    ("ErlmcpDiskFilling", C, {"free": 0.05}, {"free": 0.04}),
    ("ErlmcpDiskUnknown", W, {"volumes": True}, {"volumes": False}),
    ("ErlmcpNearLimit", W, _generation(connections=800), _generation(connections=801)),
    ("ErlmcpNearLimit", W, _generation(streams=800), _generation(streams=801)),
    ("ErlmcpNearLimit", W, _generation(in_flight=800), _generation(in_flight=801)),
    ("ErlmcpNearLimit", W, _generation(threads_busy=800), _generation(threads_busy=801)),
    ("ErlmcpNearLimit", W, {"descriptors": 800}, {"descriptors": 801}),
    ("ErlmcpLimitReached", C, {"rejected": {"streams": 15, "rate": 99}}, {"rejected": {"streams": 16}}),
    ("ErlmcpClientsThrottled", W, {"rejected": {"rate": 300}}, {"rejected": {"rate": 301}}),
    ("ErlmcpUnwantedTraffic", W, {"rejected": {"http-431": 300}}, {"rejected": {"http-431": 301}}),
    ("ErlmcpFlood", C, {"rejected": {"a": 15_000}}, {"rejected": {"a": 7_500, "b": 7_501}}),
    ("ErlmcpCertificateExpiring", W, {"days": 14.0}, {"days": 13.9}),
    ("ErlmcpCertificateExpiring", C, {"days": 3.0}, {"days": 2.9}),
    ("ErlmcpCertificateRefused", W, {"refused": 0}, {"refused": 1}),
]


def test_every_rule_that_is_judged_has_its_edge():
    judged = {(rule.alert, rule.severity) for rule in rules() if rule.alert not in OUTSIDE}
    assert {(alert, severity) for alert, severity, _, _ in EDGES} == judged


@pytest.mark.parametrize(("alert", "severity", "at_bound", "beyond"), EDGES)
def test_a_rule_is_quiet_at_its_bound_and_fires_beyond_it_after_its_time(alert, severity, at_bound, beyond):
    rule = next(rule for rule in rules() if (rule.alert, rule.severity) == (alert, severity))
    assert (alert, severity) not in Server().later(300.0, **at_bound)
    first = Server([rule]).later(300.0, **beyond)
    assert first == {(alert, severity): "pending" if rule.for_s else "firing"}


def test_it_fires_only_when_it_has_held_without_a_break():
    server = Server()
    key = ("ErlmcpMemoryHigh", "critical")
    assert server.later(10.0, memory=0.97)[key] == "pending"
    assert server.later(59.0)[key] == "pending"
    assert server.later(1.0)[key] == "firing"
    assert key not in server.later(1.0, memory=0.9)
    assert server.later(1.0, memory=0.97)[key] == "pending"


def test_a_wrong_number_would_be_seen():
    """The negative control of the edges: a rule with another bound says something else."""
    rule = next(rule for rule in rules() if rule.alert == "ErlmcpMemoryHigh")
    wrong = msgspec.structs.replace(rule, bounds=((">", 0.87),))
    assert Server([rule]).later(1.0, memory=0.86) != {}
    assert Server([wrong]).later(1.0, memory=0.86) == {}


def test_without_requests_a_ratio_is_nothing_and_no_alert():
    server = Server()
    states = server.alerts.judge(server.reading(), server.history)
    ratios = [each for each in states if each.rule.alert == "ErlmcpErrorRatioHigh"]
    assert [(each.value, each.standing) for each in ratios] == [(None, "quiet")] * 2


def test_a_server_without_tls_has_no_certificate_to_measure():
    server = Server()
    plain = server.reading()
    states = server.alerts.judge(
        Reading(plain.at, plain.erlmcp_version, plain.generations, plain.capacity), server.history
    )
    standing = {each.rule.alert: each.standing for each in states}
    assert standing["ErlmcpCertificateExpiring"] == "not-measured"
