"""attest, sign and waive: a wrong key, person, role or a changed release never counts."""

from __future__ import annotations

import json

import pytest

ONLY = ("--only", "build.no-hardcoded-secrets", "--only", "runbooks.reviewed", "--only", "approval.tech-lead")


def attest(call, repo, **changes):
    given = {"as": "ada", "key": repo.key, "check": "runbooks.reviewed", "statement": "read"} | changes
    return call(
        "-C", repo.path, "attest", given["check"], "--version", "1.1.0", "--as", given["as"],
        "--statement", given["statement"], "--key", given["key"],
    )  # fmt: skip


def sign(call, repo, role="tech-lead", person="ada", key=None):
    return call("-C", repo.path, "sign", role, "--version", "1.1.0", "--as", person, "--key", key or repo.key)


def test_a_word_and_a_signature_turn_no_go_into_go(call, repo):
    assert call("-C", repo.path, "check", "1.1.0", *ONLY).code == 1
    given = attest(call, repo)
    assert given.code == 0
    assert "✓ attested runbooks.reviewed as ada" in given.out
    signed = sign(call, repo)
    assert signed.code == 0
    assert "GO  notes@1.1.0: 3 pass\nnext: gonogo deploy 1.1.0\n" in signed.out
    assert "notes@1.1.0 → production" in signed.err  # the board, shown before signing
    assert call("-C", repo.path, "check", "1.1.0", *ONLY).code == 0


def test_what_was_signed_does_not_count_once_a_byte_changed(call, repo):
    call("-C", repo.path, "check", "1.1.0", *ONLY)
    attest(call, repo)
    sign(call, repo)
    repo.write("src/app.py", "ANSWER = 43\n")
    repo.commit()
    done = call("-C", repo.path, "check", "1.1.0", *ONLY)
    assert done.code == 1
    assert "another fingerprint" in done.out


@pytest.mark.parametrize(
    ("changes", "error_id", "hint"),
    [
        ({"key": "other"}, "people.bad-signature", "sign the text again"),
        ({"as": "adda"}, "people.unknown-person", "did you mean ada?"),
        ({"check": "build.unit-tests-pass"}, "people.not-attestable", "gonogo check --only"),
        ({"check": "runbooks.reviewd"}, "checklist.unknown-requirement", "runbooks.reviewed"),
        ({"key": "/nosuch"}, "people.key-unreadable", "ssh-keygen -t ed25519"),
        ({"statement": " "}, "people.bad-statement", ""),
    ],
)
def test_what_does_not_hold_is_refused_and_not_recorded(call, repo, changes, error_id, hint):
    if changes.get("key") == "other":
        changes = changes | {"key": repo.other_key}
    done = attest(call, repo, **changes)
    assert done.code in {1, 2}
    assert f"error[{error_id}]" in done.err
    assert hint in done.err
    assert attest(call, repo).code == 0  # and the record is as good as before
    assert call("-C", repo.path, "verify").code == 0


def test_a_role_that_is_not_held_is_named_with_who_holds_it(call, repo):
    done = sign(call, repo, role="signoff.build-lead")
    assert (done.code, "error[people.wrong-role]" in done.err) == (1, True)
    assert "held by nobody yet" in done.err


def test_the_signature_names_the_very_board_that_was_shown(call, repo):
    call("-C", repo.path, "check", "1.1.0", *ONLY)
    digest = sign(call, repo).out.split("shown ")[1][:12]
    shown = json.loads(call("-C", repo.path, "explain", f"ev-{digest}", "--json").out)
    assert shown["source"] == "the board of notes@1.1.0 as it was shown"


def test_a_waiver_needs_an_end_and_is_never_a_pass(call, repo):
    call("-C", repo.path, "check", "1.1.0", *ONLY)
    common = (
        "-C",
        repo.path,
        "waive",
        "runbooks.reviewed",
        "--version",
        "1.1.0",
        "--as",
        "ada",
        "--key",
        repo.key,
    )
    late = call(*common, "--reason", "later", "--until", "2099-01-01")
    assert (late.code, "error[people.bad-statement]" in late.err) == (2, True)
    assert call(*common, "--reason", "later").code == 2
