"""verify, export, explain, status and report: the record is proven, told and never quietly wrong."""

from __future__ import annotations

import json
import sqlite3

import pytest

CHECK = ("check", "1.1.0", "--only", "build.no-hardcoded-secrets")


@pytest.fixture
def checked(call, repo):
    call("-C", repo.path, *CHECK)
    return repo


def test_an_intact_record_is_proven(call, checked):
    done = call("-C", checked.path, "verify")
    assert done.code == 0
    assert "✓ intact" in done.out
    assert json.loads(call("-C", checked.path, "verify", "--json").out)["intact"] is True


def test_an_edited_entry_is_found_and_named(call, checked):
    with sqlite3.connect(checked.state / "journal.sqlite") as database:
        database.execute(
            "UPDATE entries SET body = replace(body, '\"fail\"', '\"pass\"'), actor = 'me' WHERE seq = 3"
        )
    done = call("-C", checked.path, "verify")
    assert done.code == 1
    assert "✗ entry 3" in done.out
    assert "error[journal.altered]" in done.err
    assert json.loads(call("-C", checked.path, "verify", "--json").out)["intact"] is False
    stopped = call("-C", checked.path, *CHECK)
    assert stopped.code != 0
    assert "error[journal.altered]" in stopped.err


def test_edited_evidence_is_found(call, checked):
    evidence = next((checked.state / "evidence").glob("*/*"))
    evidence.chmod(0o600)
    evidence.write_bytes(evidence.read_bytes() + b" ")
    done = call("-C", checked.path, "verify")
    assert (done.code, "evidence altered" in done.out) == (1, True)
    shown = call("-C", checked.path, "explain", f"ev-{evidence.name[:12]}")
    assert (shown.code, "error[journal.evidence-altered]" in shown.err) == (1, True)


def test_a_repository_without_a_record_has_nothing_to_verify(call, repo):
    done = call("-C", repo.path, "verify")
    assert (done.code, "error[journal.not-found]" in done.err) == (2, True)
    assert "gonogo check" in done.err


def test_a_bundle_is_verified_offline_and_a_changed_one_is_caught(call, checked, tmp_path):
    bundle = tmp_path / "out.bundle"
    assert call("-C", checked.path, "export", "--version", "1.1.0", "-o", bundle).code == 0
    assert call("-C", tmp_path, "verify", bundle).code == 0
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    assert call("-C", tmp_path, "verify", bundle).code == 1


def test_explain_tells_a_requirement_with_its_last_finding(call, checked):
    done = call("-C", checked.path, "explain", "build.no-hardcoded-secrets")
    assert "passes when" in done.out
    assert "last: ✓ pass" in done.out
    assert "gonogo.checks.build.no_hardcoded_secrets" in done.out


def test_explain_says_what_is_not_built(call, checked):
    assert "not built" in call("-C", checked.path, "explain", "image.size-limit").out


def test_explain_shows_evidence_with_source_time_and_digest(call, checked):
    row = json.loads(call("-C", checked.path, "explain", "build.no-hardcoded-secrets", "--json").out)
    name = row["finding"]["evidence"][0]
    done = call("-C", checked.path, "explain", name)
    assert "source" in done.out
    assert "(verified now)" in done.out
    by_finding = call("-C", checked.path, "explain", row["finding"]["id"])
    assert by_finding.out.startswith("build.no-hardcoded-secrets")


def test_explain_reads_error_pages_anywhere(call, tmp_path):
    done = call("-C", tmp_path, "explain", "deploy.locked")
    assert done.out.startswith("# deploy.locked")
    assert call("-C", tmp_path, "explain", "../README").code == 2


def test_explain_of_nothing_names_the_nearest(call, checked):
    done = call("-C", checked.path, "explain", "deploy.loked")
    assert (done.code, "error[explain.unknown-id]" in done.err) == (2, True)
    assert "deploy.locked" in done.err


def test_status_tells_that_the_service_does_not_answer(call, checked):
    done = call("-C", checked.path, "status")
    assert done.code == 0
    assert "? unknown" in done.out
    seen = json.loads(call("-C", checked.path, "status", "--json").out)
    assert seen["serving"]["version"] is None
    assert seen["candidate"]["version"] == "1.1.0"
    assert seen["deployment"] is None


def test_status_counts_what_went_stale(call, checked):
    checked.write("src/app.py", "ANSWER = 44\n")
    seen = json.loads(call("-C", checked.path, "status", "--json").out)
    assert "build.no-hardcoded-secrets" in seen["stale"]


def test_a_report_needs_a_verdict_and_stays_what_it_was(call, checked, tmp_path):
    none = call("-C", checked.path, "report", "--version", "1.0.0")
    assert (none.code, "error[report.nothing-judged]" in none.err) == (1, True)
    page = tmp_path / "page.html"
    assert call("-C", checked.path, "report", "--version", "1.1.0", "-o", page).code == 0
    first = page.read_text()
    checked.write("src/app.py", "ANSWER = 45\n")
    call("-C", checked.path, "report", "--version", "1.1.0", "-o", page)
    made = "Made by gonogo"
    assert page.read_text().split(made)[0] == first.split(made)[0]
    assert "NO-GO" in first


def test_a_rollback_with_nothing_deployed_is_refused(call, checked):
    done = call("-C", checked.path, "rollback", "--reason", "a try")
    assert (done.code, "error[rollback.nothing]" in done.err) == (1, True)


def test_a_decision_with_nothing_waiting_is_refused(call, checked):
    done = call("-C", checked.path, "decide", "accept", "--as", "ada", "--reason", "a try")
    assert (done.code, "error[deploy.nothing-to-decide]" in done.err) == (1, True)
