"""The board: every requirement stands once, nothing is hidden, the next step is the most useful one."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from gonogo.checklist.catalogue import CATALOGUE
from gonogo.cli.board import print_board
from gonogo.model.errors import GonogoError
from gonogo.model.finding import Answer, Finding
from gonogo.model.release import Fingerprint, Release
from gonogo.model.verdict import GateResult, Verdict
from gonogo.report.board import Board, board_from, board_of, document_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RELEASE = Release("rel-notes-1.1.0", "notes", "1.1.0", "production", Fingerprint("c" * 40, "a", "b", "p"))
EVERYTHING = frozenset(row.id for row in CATALOGUE.all)


def finding(check_id: str, answer: Answer, **changes) -> Finding:
    facts = {
        "subject": "host-7",
        "reason": f"reason of {check_id}",
        "hint": None,
        "evidence": ("ev-1234",),
    } | changes
    facts |= {"fingerprint": "f" * 64, "measured_at": NOW, "valid_until": NOW}
    return Finding(id="fi-1", check_id=check_id, answer=answer, **facts)


def board(blocking=(), passed=(), waived=(), verdict=Verdict.NO_GO, built=EVERYTHING, **changes) -> Board:
    gated = [*blocking, *passed, *waived]
    names = {one.check_id for one in gated}
    outside = [
        finding(row.id, Answer.UNKNOWN, reason="never checked")
        for row in CATALOGUE.all
        if row.id not in names
    ]
    gate = GateResult(
        verdict, "small", "f" * 64, tuple(gated), tuple(blocking), tuple(waived), (), tuple(outside)
    )
    facts = {"profile_reason": "one machine", "configured": True, "checked_at": NOW} | changes
    return board_of(gate, CATALOGUE.all, RELEASE, built=built, **facts)


def printed(shown: Board, width: int = 120) -> str:
    out = io.StringIO()
    print_board(shown, Console(file=out, width=width, highlight=False, markup=False))
    return out.getvalue()


FAIL = finding("build.lock-file-committed", Answer.FAIL, hint="git add requirements.lock")
UNKNOWN = finding("build.unit-tests-pass", Answer.UNKNOWN)
SIGN = finding("approval.tech-lead", Answer.FAIL, hint="gonogo sign approval.tech-lead")
ATTEST = finding("runbooks.reviewed", Answer.FAIL)
PASS = finding("build.no-hardcoded-secrets", Answer.PASS)


def test_every_requirement_stands_on_the_board_once():
    shown = board([FAIL], [PASS])
    assert len(shown.rows) == 366
    assert len({row.id for row in shown.rows}) == 366


def test_failures_stand_in_full_with_reason_subject_evidence_and_help():
    text = printed(board([FAIL, UNKNOWN], [PASS]))
    assert "✗ fail" in text
    assert "reason of build.lock-file-committed  host-7  (ev-1234)" in text
    assert "help: git add requirements.lock" in text
    assert "? unknown" in text
    assert "✓ pass" in text
    assert "NO-GO  notes@1.1.0: 1 fail, 1 unknown" in text


def test_what_is_not_built_is_counted_in_the_open_and_never_a_pass():
    text = printed(board([UNKNOWN], [PASS], built=EVERYTHING - {"build.unit-tests-pass"}))
    assert "1 not built  build.unit-tests-pass" in text
    assert "notes@1.1.0: 1 not built" in text


def test_what_the_profile_leaves_out_is_counted():
    text = printed(board([FAIL], [PASS]))
    assert "outside the profile (shown, not counted): 364 requirements: 364 unknown" in text


def test_a_waived_failure_is_shown_as_a_waived_failure():
    text = printed(board([], [PASS], [FAIL], verdict=Verdict.GO))
    assert "build.lock-file-committed (waived)" in text
    assert "GO  notes@1.1.0: 1 pass, 1 waived" in text


def test_the_same_reason_is_said_once():
    same = [
        finding(name, Answer.FAIL, reason="not attested yet")
        for name in ("people.primary-identified", "people.primary-slack", "people.backup-standby")
    ]
    assert printed(board(same)).count("not attested yet") == 1


def test_no_line_is_wider_than_the_terminal():
    assert max(map(len, printed(board([FAIL, UNKNOWN], [PASS]), width=80).splitlines())) <= 80


@pytest.mark.parametrize(
    ("blocking", "verdict", "configured", "expected"),
    [
        ([SIGN, ATTEST, UNKNOWN, FAIL], Verdict.NO_GO, True, "gonogo explain build.lock-file-committed"),
        ([SIGN, ATTEST, UNKNOWN], Verdict.NO_GO, True, "gonogo explain build.unit-tests-pass"),
        (
            [SIGN],
            Verdict.NO_GO,
            True,
            "gonogo sign approval.tech-lead --version 1.1.0 --as PERSON --key PATH",
        ),
        ([], Verdict.GO, True, "gonogo deploy 1.1.0"),
        ([], Verdict.HOLD, True, "gonogo status"),
        ([FAIL], Verdict.NO_GO, False, "gonogo init"),
    ],
)
def test_the_next_step_mends_first_and_signs_last(blocking, verdict, configured, expected):
    assert board(blocking, [PASS], verdict=verdict, configured=configured).next == expected


def test_a_saved_board_is_the_same_board():
    shown = board([FAIL], [PASS], [UNKNOWN])
    import msgspec

    assert board_from(msgspec.json.encode(document_of(shown))) == shown


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"format": "other"}', b"\xff"])
def test_other_documents_are_refused(data):
    with pytest.raises(GonogoError) as caught:
        board_from(data)
    assert caught.value.error_id == "report.not-a-check"
