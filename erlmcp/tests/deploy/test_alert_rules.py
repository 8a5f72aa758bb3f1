"""The shipped alert rules: over what the server shows, tested at their edges, explained in the runbooks."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from alert_rules import PROMETHEUS, ROOT, RULES_FILE, TEST_FILES, rule_tests, rules, variants

from erlmcp.protocol.methods import METHODS
from erlmcp.telemetry.meter import OUTCOMES

RUNBOOKS = ROOT / "docs/operating/runbooks.md"
SOURCES = ROOT / "erlmcp/src/erlmcp"
MATCHER = re.compile(r'(\w+)\s*(?:=~|!=|=)\s*"([^"]*)"')


@pytest.fixture(scope="session")
def promtool(program):
    return program("promtool", "prometheus")


def _run(promtool, *arguments):
    command = [promtool, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_promtool_accepts_the_rules_and_the_example_configuration(promtool):
    for what, file in (("rules", RULES_FILE), ("config", PROMETHEUS / "prometheus.yml")):
        told = _run(promtool, "check", what, file)
        assert told.returncode == 0, told.stdout + told.stderr


def test_each_alert_fires_when_it_must_and_stays_quiet_at_the_edge(promtool):
    told = _run(promtool, "test", "rules", *TEST_FILES)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule['alert']} {rule['labels']['severity']}")
def test_each_alert_is_asked_for_before_and_when_it_fires(rule):
    asked = [each for test in rule_tests(rule["alert"]) for each in test["promql_expr_test"]]
    fires = [f'severity="{rule["labels"]["severity"]}"' in str(each) for each in asked if each["exp_samples"]]
    assert any(fires)
    assert rule["alert"] == "ErlmcpWatchdog" or any(not each["exp_samples"] for each in asked)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_rule_with_one_thing_wrong_fails_its_tests(promtool, tmp_path):
    """Slow: promtool runs once for each number and duration of each rule, a little off in both directions."""

    def judge(job):
        number, (alert, what, changed) = job
        told = _test_alone(promtool, tmp_path / str(number), alert, changed)
        noticed = told.returncode != 0 and "got:" in told.stdout + told.stderr
        return noticed == (what != "nothing") or f"{alert}: {what}: {told.stdout + told.stderr}"

    jobs = []
    for position, rule in enumerate(rules()):
        same = [(each if place != position else None) for place, each in enumerate(rules())]
        for what, wrong in [("nothing", rule), ("the rule", None), *variants(rule)]:
            changed = [(each or wrong) for each in same if (each or wrong)]
            jobs.append((rule["alert"], what, [each for each in changed if each["alert"] == rule["alert"]]))
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(judge, enumerate(jobs)))
    assert len(jobs) > 150
    assert [each for each in verdicts if each is not True] == []


def _test_alone(promtool, folder, alert, changed):
    """The tests of one alert against these rules only."""
    folder.mkdir()
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": changed}]}))
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": rule_tests(alert)}
    (folder / "tests.yml").write_text(yaml.safe_dump(document))
    return _run(promtool, "test", "rules", folder / "tests.yml")


def test_rules_use_only_names_that_the_server_shows(exported):
    used = {name for rule in rules() for name in re.findall(r"\berlmcp_\w+", rule["expr"])}
    assert len(used) > 20
    assert used <= exported


def test_labels_are_matched_only_with_values_that_the_server_gives():
    reasons = {
        found.replace("{refusal.status}", "431")
        for path in SOURCES.rglob("*.py")
        for found in re.findall(r'(?:rejected|cut)\(f?"([^"]+)"', path.read_text())
    } | {"tls-plain"}
    known = {"outcome": set(OUTCOMES), "method": METHODS, "critical": {"true", "false"}, "job": {"erlmcp"}}
    known["outcome"] |= {"taken-over", "refused", "error"}
    known["fate"] = {"sent", "failed"}
    seen = set()
    for rule in rules():
        for label, value in MATCHER.findall(rule["expr"]):
            for one in value.split("|"):
                seen.add(label)
                if label == "reason":
                    assert any(re.fullmatch(one, reason) for reason in reasons), one
                else:
                    assert one in known[label], (rule["alert"], label, one)
    assert seen == {*known, "reason"}


def test_each_rule_has_a_duration_a_severity_and_a_summary():
    for rule in rules():
        assert rule["for"], rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}
        assert rule["labels"]["service"] == "erlmcp"
        assert rule["annotations"]["summary"]
    assert len({(rule["alert"], rule["labels"]["severity"]) for rule in rules()}) == len(rules())


def test_memory_is_told_of_at_85_and_at_95_percent():
    memory = {
        rule["labels"]["severity"]: rule["expr"] for rule in rules() if rule["alert"] == "ErlmcpMemoryHigh"
    }
    assert memory["warning"].endswith("> 0.85")
    assert memory["critical"].endswith("> 0.95")


def unexplained(text: str) -> set[str]:
    """Alerts without a section, and sections without an alert."""
    headings = set(re.findall(r"^## (\w+)$", text, re.MULTILINE))
    return headings ^ {rule["alert"] for rule in rules()}


def test_each_alert_has_its_place_in_the_runbooks_and_each_place_an_alert():
    text = RUNBOOKS.read_text()
    assert unexplained(text) == set()
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert ROOT / page == RUNBOOKS
        assert anchor == rule["alert"].lower()
    assert unexplained(text.replace("## ErlmcpFlood", "## ErlmcpDrought")) == {"ErlmcpFlood", "ErlmcpDrought"}


def test_each_section_says_what_it_means_where_to_look_what_to_do_and_what_not():
    _, *sections = re.split(r"^## ", RUNBOOKS.read_text(), flags=re.MULTILINE)
    for section in sections:
        found = re.findall(r"^- \*\*(\w+)\*\*", section, re.MULTILINE)
        assert found == ["Means", "Look", "Do", "Not"], section.splitlines()[0]
        severities = {r["labels"]["severity"] for r in rules() if r["alert"] == section.split()[0]}
        meaning = section.partition("- **Look**")[0]
        assert {s for s in ("critical", "warning", "none") if re.search(rf"[( ]{s}\b", meaning)} == severities


def test_the_reference_of_metrics_has_exactly_the_names_that_the_server_shows(exported):
    told = set(
        re.findall(r"^\| `(erlmcp_\w+)`", (ROOT / "docs/reference/metrics.md").read_text(), re.MULTILINE)
    )
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported}
    assert told == shown


def test_runbooks_name_only_metrics_and_settings_that_exist(exported):
    text = RUNBOOKS.read_text()
    named = set(re.findall(r"`(erlmcp_\w+)`", text))
    assert named <= {re.sub(r"_bucket$", "", name) for name in exported}
    schema = "".join((SOURCES / "config" / each).read_text() for each in ("schema.py", "log_settings.py"))
    settings = re.findall(r"`(?:limits|mcp|log|http)\.(\w+)`", text) + re.findall(r"`(loop_\w+)[` ]", text)
    assert settings
    assert not [name for name in settings if not re.search(rf"^    {name}:", schema, re.MULTILINE)]
    assert Path(RUNBOOKS.parent / "blocked-event-loop.md").exists()
