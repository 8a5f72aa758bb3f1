"""gonogo init and check: a useful answer anywhere, and every bad input named."""

from __future__ import annotations

import json

import pytest

from gonogo.model.finding import Answer
from gonogo.report.board import Place, board_from


def test_without_a_configuration_there_is_still_an_answer(call, bare):
    done = call("-C", bare, "check")
    assert done.code == 1
    assert "no gonogo.toml: defaults are used" in done.out
    assert "build.no-hardcoded-secrets" in done.out
    assert "not built" in done.out
    assert done.out.rstrip().splitlines()[-1] == "next: gonogo init"
    assert (bare / ".gonogo" / ".gitignore").read_text() == "*\n"


def test_init_writes_what_check_then_runs_on(call, bare):
    done = call("-C", bare, "init")
    assert done.code == 0
    assert "app.server:mcp" in done.out
    assert done.out.rstrip().endswith("next: gonogo check 0.1.0")
    checked = call("-C", bare, "check", "--only", "build.no-hardcoded-secrets", "--json")
    board = board_from(checked.out.encode())
    assert board.profile == "first"
    row = next(row for row in board.rows if row.id == "build.no-hardcoded-secrets")
    assert (row.place, row.answer) == (Place.GATED, Answer.PASS)


def test_init_does_not_overwrite(call, repo):
    before = (repo.path / "gonogo.toml").read_text()
    done = call("-C", repo.path, "init")
    assert (done.code, done.err.split(":")[0]) == (2, "error[config.exists]")
    assert (repo.path / "gonogo.toml").read_text() == before


def test_outside_of_git_it_says_so(call, tmp_path):
    done = call("-C", tmp_path, "check")
    assert done.code == 2
    assert "error[git.not-a-repository]" in done.err


def test_the_board_ends_with_the_verdict_and_one_next_step(call, repo):
    done = call("-C", repo.path, "check", "1.1.0", "--only", "build.no-hardcoded-secrets")
    lines = done.out.rstrip().splitlines()
    assert lines[-2].startswith("NO-GO  notes@1.1.0: ")
    assert lines[-1].startswith("next: gonogo ")
    assert "\x1b" not in done.out
    assert all(line == line.rstrip() for line in lines)
    assert done.code == 1


def test_json_is_one_document_with_every_requirement_and_the_exit_code(call, repo):
    done = call("-C", repo.path, "check", "1.1.0", "--only", "build.no-hardcoded-secrets", "--json")
    document = json.loads(done.out)
    assert len(document["rows"]) == 366
    assert document["exit_code"] == done.code == 1
    assert document["verdict"] == "NO-GO"
    assert not all(row["built"] for row in document["rows"])


def test_a_service_that_does_not_answer_is_unknown_and_holds(call, repo):
    text = (repo.path / "gonogo.toml").read_text()
    start = text.index("checks = ")
    end = text.index("\n", start)
    repo.write("gonogo.toml", text[:start] + 'checks = ["monitoring.health-endpoints"]' + text[end:])
    repo.commit()
    done = call("-C", repo.path, "check", "1.1.0", "--only", "monitoring.health-endpoints")
    assert "? unknown" in done.out
    assert "HOLD  notes@1.1.0: 1 unknown" in done.out
    assert done.code == 3


def test_what_is_measured_narrowly_hides_nothing(call, repo):
    done = call("-C", repo.path, "check", "1.1.0", "--only", "build.no-hardcoded-secrets", "--json")
    rows = {row["id"]: row for row in json.loads(done.out)["rows"]}
    assert rows["runbooks.reviewed"]["place"] == "blocking"


@pytest.mark.parametrize(
    ("arguments", "error_id", "hint"),
    [
        (("check", "9.9.9"), "release.unknown-version", "declare it in releases/9.9.9.toml"),
        (("check", "1.1.1"), "release.unknown-version", "did you mean 1.1.0?"),
        (("check", "../x"), "release.bad-version", "name the version"),
        (("check", "1.1.0", "--env", "prodution"), "config.unknown-environment", "--env production"),
        (("check", "1.1.0", "--only", "bild.*"), "checklist.unknown-pattern", "build."),
    ],
)
def test_bad_requests_are_named_with_a_hint(call, repo, arguments, error_id, hint):
    done = call("-C", repo.path, *arguments)
    assert done.code == 2
    assert f"error[{error_id}]" in done.err
    assert hint in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("damage", "error_id"),
    [
        (lambda text: text.replace('name = "notes"', 'name = "notes'), "config.not-toml"),
        (lambda text: text.replace("base_url", "base_uri"), "config.unknown-key"),
        (lambda text: text.replace('phone = "+44 20 7946 0000"\n', ""), "config.missing-key"),
        (lambda text: text.replace('["tech-lead", "primary"]', '["chief"]'), "config.bad-value"),
        (lambda text: text.replace("ssh-ed25519 ", "ssh-nothing "), "people.bad-key"),
    ],
)
def test_bad_configurations_are_named_and_nothing_is_lost(call, repo, damage, error_id):
    call("-C", repo.path, "check", "1.1.0", "--only", "build.no-hardcoded-secrets")
    good = (repo.path / "gonogo.toml").read_text()
    assert damage(good) != good
    repo.write("gonogo.toml", damage(good))
    done = call("-C", repo.path, "check", "1.1.0")
    assert (done.code, done.out) == (2, "")
    assert f"error[{error_id}]" in done.err
    assert "help: " in done.err
    repo.write("gonogo.toml", good)
    assert call("-C", repo.path, "verify").code == 0


def test_pipes_and_no_color_get_plain_text(spawn, repo):
    done = spawn(
        "-C", repo.path, "explain", "build.unit-tests-pass", env={"NO_COLOR": "1", "FORCE_COLOR": ""}
    )
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
