"""The record is a fold of entries: the same entries, the same record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gonogo.journal.journal import Journal
from gonogo.model.codec import to_json
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Evidence
from gonogo.model.finding import Answer, Finding
from gonogo.release.record import fold, read_record
from gonogo.release.serving import read_serving

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RELEASE = "rel-notes-1.1.0"


@pytest.fixture
def journal(tmp_path):
    times = iter(NOW + timedelta(seconds=second) for second in range(1000))
    with Journal.open(tmp_path / "state", clock=lambda: next(times), service="notes") as opened:
        yield opened


@pytest.fixture
def says(journal):
    def append(kind, body, *, release=RELEASE, actor="gonogo"):
        return journal.append(kind, body, actor=actor, release=release)

    return append


def _finding(number, answer=Answer.PASS, fingerprint="f" * 64, check_id="tls.hsts"):
    at = NOW + timedelta(minutes=number)
    return Finding(
        f"fi-{number}", check_id, "x", answer, "r", None, (), fingerprint, at, at + timedelta(hours=1)
    )


def test_an_empty_record_is_a_record(journal):
    record = read_record(journal, RELEASE)
    assert (record.findings, record.deployments, record.baseline, record.last_seq) == ({}, (), None, 0)


def test_the_newest_finding_of_each_check_and_fingerprint_is_kept(journal, says):
    for finding in (_finding(1), _finding(2, Answer.FAIL), _finding(3, fingerprint="0" * 64)):
        says(EntryKind.FINDING, to_json(finding))
    record = read_record(journal, RELEASE)
    assert record.findings["tls.hsts"].id == "fi-3"
    assert record.findings_for("f" * 64)["tls.hsts"].id == "fi-2"
    assert len(record.all_findings) == 2


def test_other_releases_do_not_count(journal, says):
    says(EntryKind.FINDING, to_json(_finding(1)), release="rel-notes-1.0.0")
    assert read_record(journal, RELEASE).findings == {}


def test_the_fold_is_the_same_from_entries_as_from_the_journal(journal, says):
    says(EntryKind.FINDING, to_json(_finding(1)))
    says(EntryKind.EVIDENCE, to_json(Evidence("ev-1", "a" * 64, 1, "text/plain", "x", NOW)))
    record = read_record(journal, RELEASE)
    assert record == fold(list(journal.entries()), RELEASE)
    assert record.evidence["ev-1"].source == "x"
    assert record.last_seq == 3


def test_the_newest_baseline_and_verdict_stand(journal, says):
    for number in (1, 2):
        says(EntryKind.BASELINE, {"number": number})
        says(EntryKind.GATE, {"verdict": "GO", "number": number})
    record = read_record(journal, RELEASE)
    assert (record.baseline.body["number"], record.gate.body["number"]) == (2, 2)


def _deploy(says, deployment="dep-1", version="1.1.0", *, until=None, release=RELEASE, actor="ada"):
    body = {"deployment": deployment, "version": version, "environment": "production"}
    says(EntryKind.DEPLOYMENT_STARTED, body, release=release, actor=actor)
    for step in ("stage", "switch", "watch"):
        says(EntryKind.STEP_STARTED, {"deployment": deployment, "step": step, "attempt": 1}, release=release)
        if step == until:
            return
        body = {"deployment": deployment, "step": step, "elapsed_s": 1.5, "observed": {}}
        says(EntryKind.STEP_FINISHED, body, release=release)
    body = {"deployment": deployment, "outcome": "done"}
    says(EntryKind.DEPLOYMENT_FINISHED, body, release=release)


def test_a_deployment_is_told_with_its_steps(journal, says):
    _deploy(says)
    (deployment,) = read_record(journal, RELEASE).deployments
    assert (deployment.id, deployment.actor, deployment.outcome) == ("dep-1", "ada", "done")
    assert [(step.step, step.state) for step in deployment.steps] == [
        ("stage", "finished"),
        ("switch", "finished"),
        ("watch", "finished"),
    ]
    assert deployment.steps[0].ended_at - deployment.steps[0].started_at == timedelta(seconds=1)
    assert not deployment.is_open


def test_an_interrupted_step_is_open_and_its_next_attempt_takes_its_place(journal, says):
    _deploy(says, until="switch")
    (deployment,) = read_record(journal, RELEASE).deployments
    assert deployment.is_open
    assert (deployment.steps[-1].state, deployment.steps[-1].ended_at) == ("started", None)
    says(EntryKind.STEP_STARTED, {"deployment": "dep-1", "step": "switch", "attempt": 2})
    says(EntryKind.STEP_FAILED, {"deployment": "dep-1", "step": "switch", "error": {"id": "x"}})
    (deployment,) = read_record(journal, RELEASE).deployments
    assert [(step.step, step.state, step.attempt) for step in deployment.steps] == [
        ("stage", "finished", 1),
        ("switch", "failed", 2),
    ]


def test_a_rollback_is_told_with_its_beginning_and_its_end(journal, says):
    _deploy(says, until="watch")
    says(EntryKind.ROLLBACK_STARTED, {"deployment": "dep-1", "reason": "errors", "trigger": "watch"})
    observed = {"version": "1.0.0"}
    says(EntryKind.ROLLBACK_FINISHED, {"deployment": "dep-1", "elapsed_s": 0.4, "observed": observed})
    says(EntryKind.DEPLOYMENT_FINISHED, {"deployment": "dep-1", "outcome": "rolled-back"})
    (deployment,) = read_record(journal, RELEASE).deployments
    assert deployment.rollback == {
        "deployment": "dep-1",
        "reason": "errors",
        "trigger": "watch",
        "elapsed_s": 0.4,
        "observed": observed,
    }
    assert (deployment.outcome, deployment.rolled_back_at is None) == ("rolled-back", False)


def test_a_deployment_that_waits_for_a_person_is_open(journal, says):
    _deploy(says, until="watch")
    says(EntryKind.DEPLOYMENT_FINISHED, {"deployment": "dep-1", "outcome": "waiting"})
    (deployment,) = read_record(journal, RELEASE).deployments
    assert (deployment.outcome, deployment.is_open) == ("waiting", True)


def test_the_serving_version_follows_deployments_and_rollbacks_of_its_environment(journal, says):
    assert read_serving(journal, "production") is None
    _deploy(says, "dep-1", "1.0.0", release="rel-notes-1.0.0")
    _deploy(says, "dep-2", "1.1.0")
    assert read_serving(journal, "production").version == "1.1.0"
    _deploy(says, "dep-3", "1.2.0", until="watch", release="rel-notes-1.2.0")
    assert read_serving(journal, "production").version == "1.1.0", "an unfinished one changes nothing"
    observed = {"version": "1.1.0"}
    body = {"deployment": "dep-3", "observed": observed}
    says(EntryKind.ROLLBACK_FINISHED, body, release="rel-notes-1.2.0")
    serving = read_serving(journal, "production")
    assert (serving.version, serving.deployment) == ("1.1.0", "dep-3")
    assert read_serving(journal, "staging") is None


def test_an_altered_journal_is_not_folded(journal, says, tmp_path):
    import sqlite3

    says(EntryKind.FINDING, to_json(_finding(1, Answer.FAIL)))
    database = sqlite3.connect(tmp_path / "state" / "journal.sqlite")
    changed = "UPDATE entries SET body = replace(body, '\"fail\"', '\"pass\"') WHERE seq = 2"
    assert database.execute(changed).rowcount == 1
    database.commit()
    database.close()
    with pytest.raises(GonogoError) as refused:
        read_record(journal, RELEASE)
    assert refused.value.error_id == "journal.altered"
