"""Judges the gate of a release from its record, without measuring anything anew."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import cache

from gonogo.acts.desk import Desk
from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checklist.profile import gate_profile
from gonogo.checks.attested import is_for_people
from gonogo.checks.registry import load_checks
from gonogo.model.entry import EntryKind
from gonogo.model.release import Release
from gonogo.model.verdict import GateResult
from gonogo.release.decide import decide
from gonogo.release.record import Record, read_record
from gonogo.report.board import Board, board_of

ACTOR = "gonogo"


def judged(desk: Desk, release: Release) -> GateResult:
    """The gate's answer now: what was found, attested, signed and waived for this very fingerprint."""
    return _decided(desk, release, read_record(desk.journal, release.id), desk.clock())


def judged_and_recorded(desk: Desk, release: Release) -> GateResult:
    """As ``judged``; the verdict becomes an entry, so that it can be shown again later."""
    gate = judged(desk, release)
    body = {
        "verdict": gate.verdict.value,
        "profile": gate.profile,
        "version": release.version,
        "environment": desk.environment_name,
        "fingerprint": gate.fingerprint,
        "parts": asdict(release.fingerprint),
        "blocking": [finding.check_id for finding in gate.blocking],
        "waived": [finding.check_id for finding in gate.waived],
    }
    desk.journal.append(EntryKind.GATE, body, actor=ACTOR, release=release.id)
    return gate


def current_board(desk: Desk, release: Release, *, elapsed_s: float | None = None) -> Board:
    """Judge, record the verdict, and give the board.

    Args:
        elapsed_s: how long the checks before it ran, seconds, if they did.
    """
    return _board(desk, release, judged_and_recorded(desk, release), desk.clock(), elapsed_s)


def board_at(desk: Desk, release: Release, record: Record, at: datetime) -> Board:
    """The board as it was at a moment, from the record as it was then."""
    return _board(desk, release, _decided(desk, release, record, at), at, None)


def _decided(desk: Desk, release: Release, record: Record, at: datetime) -> GateResult:
    digest = release.fingerprint.digest
    return decide(record, desk.settings, desk.environment_name, fingerprint=digest, now=at)


def _board(desk: Desk, release: Release, gate: GateResult, at: datetime, elapsed_s: float | None) -> Board:
    return board_of(
        gate,
        CATALOGUE.all,
        release,
        built=built_ids(),
        profile_reason=gate_profile(desk.environment.profile, desk.settings.profiles).reason,
        configured=desk.loaded.configured,
        checked_at=at,
        elapsed_s=elapsed_s,
    )


@cache
def built_ids() -> frozenset[str]:
    """Requirements that can be answered: by a check, by rolling up others, or by a person's signed word."""
    by_checks = {box for check in load_checks().values() for box in check.boxes}
    others = {row.id for row in CATALOGUE.all if is_for_people(row) or CATALOGUE.children(row.id)}
    return frozenset(by_checks | others)
