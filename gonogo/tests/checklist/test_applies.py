"""Nothing leaves the checklist silently: only a declared fact or an open entry takes a requirement out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gonogo.checklist.applies import CONDITIONS, NOT_FOR_MCP, Applies, applicability
from gonogo.checklist.catalogue import CATALOGUE
from gonogo.config.schema import Environment, NotApplicable, Service, Settings
from gonogo.model.errors import GonogoError

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _settings(
    base_url="http://127.0.0.1:8080", kind="mcp", log_file="", with_staging=False, **left_out
) -> Settings:
    production = Environment(base_url=base_url, admin_url="http://127.0.0.1:9464", log_file=log_file)
    environments = {"production": production} | ({"staging": production} if with_staging else {})
    groups = {name.replace("_", "-"): entry for name, entry in left_out.items()}
    return Settings(
        service=Service(name="notes", kind=kind), environments=environments, not_applicable=groups
    )


def _left_out(reason="there is none", by="ada", until="2026-12-31") -> NotApplicable:
    return NotApplicable(reason=reason, by=by, until=until)


def _asked(check_id, settings, now=NOW, **facts):
    groups = {name.replace("_", "-"): value for name, value in facts.items()}
    return applicability(CATALOGUE.get(check_id), settings, "production", now=now, facts=groups)


def test_every_condition_of_the_checklist_is_known_and_no_other():
    assert {row.applies_when for row in CATALOGUE.all} - {"always"} == set(CONDITIONS)


def test_most_requirements_always_apply():
    always = [row for row in CATALOGUE.all if row.applies_when == "always"]
    assert len(always) == 249
    assert _asked(always[0].id, _settings()).applies is Applies.YES


@pytest.mark.parametrize(
    ("check_id", "settings"),
    [
        ("staging.health", {"with_staging": True}),
        ("tls.hsts", {"base_url": "https://notes.example.com"}),
        ("data.cors-restrictive", {}),
        ("journeys.subscribe", {}),
        ("storage.log-directory", {"log_file": "/var/log/notes.json"}),
    ],
)
def test_what_is_declared_applies(check_id, settings):
    assert _asked(check_id, _settings(**settings)).applies is Applies.YES


def test_a_base_url_without_tls_is_a_declared_fact():
    asked = _asked("tls.hsts", _settings())
    assert (asked.applies, asked.until) == (Applies.NO, None)
    assert "HTTPS" in asked.reason


@pytest.mark.parametrize(
    "check_id",
    [row.id for row in CATALOGUE.all if row.applies_when not in ("always", "HTTP transport enabled")],
)
def test_what_is_merely_not_mentioned_cannot_be_told(check_id):
    settings = _settings(base_url="ftp://x", kind="http")
    asked = _asked(check_id, settings)
    assert asked.applies is Applies.UNKNOWN
    assert "[not_applicable." in asked.hint


def test_an_open_entry_takes_a_group_out_until_its_last_day_is_over():
    settings = _settings(slack=_left_out(until="2026-11-23"))
    asked = _asked("channels.slack-webhook", settings)
    assert asked.applies is Applies.NO
    assert asked.reason == "left out by ada until 2026-11-23: there is none"
    end = datetime(2026, 11, 24, tzinfo=UTC)
    assert asked.until == end
    last = end - timedelta(microseconds=1)
    assert _asked("channels.slack-webhook", settings, now=last).applies is Applies.NO
    assert _asked("channels.slack-webhook", settings, now=end).applies is Applies.UNKNOWN
    assert _asked("channels.smtp-credentials", settings).applies is Applies.UNKNOWN, "only its own group"


@pytest.mark.parametrize("change", [{"reason": " "}, {"by": ""}])
def test_an_entry_without_reason_or_person_takes_nothing_out(change):
    asked = _asked("channels.slack-webhook", _settings(slack=_left_out(**change)))
    assert asked.applies is Applies.UNKNOWN


def test_an_mcp_service_may_not_leave_out_staging_or_the_load_test():
    assert {"staging", "load-test"} == NOT_FOR_MCP
    for check_id, group in (("load.full-peak", "load_test"), ("staging.health", "staging")):
        assert _asked(check_id, _settings(**{group: _left_out()})).applies is Applies.UNKNOWN
        assert _asked(check_id, _settings(kind="http", **{group: _left_out()})).applies is Applies.NO


def test_what_is_declared_cannot_be_left_out():
    settings = _settings(base_url="https://notes.example.com", tls=_left_out())
    assert _asked("tls.hsts", settings).applies is Applies.YES


def test_facts_of_a_run_decide_what_settings_cannot():
    settings = _settings()
    assert _asked("rollback-run.restart", settings).applies is Applies.UNKNOWN
    assert _asked("rollback-run.restart", settings, rollback_triggered=True).applies is Applies.YES
    assert _asked("rollback-run.restart", settings, rollback_triggered=False).applies is Applies.NO


def test_a_misspelt_group_and_a_bad_day_are_refused():
    with pytest.raises(GonogoError) as refused:
        _asked("channels.slack-webhook", _settings(slak=_left_out()))
    assert (refused.value.error_id, refused.value.hint) == ("checklist.unknown-group", "did you mean slack?")
    with pytest.raises(GonogoError) as refused:
        _asked("channels.slack-webhook", _settings(slack=_left_out(until="soon")))
    assert refused.value.error_id == "checklist.bad-date"
