"""``report``: gathers a release's record into the page that ``gonogo.report`` renders.

The page shows the verdict that counted: the one under which the release was last deployed, else the last
one recorded, judged again from the entries up to that moment. So it can be made again at any later time,
and comes out the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gonogo.acts.desk import Desk
from gonogo.acts.judging import board_at
from gonogo.checklist.answers import sign_off_end
from gonogo.model.entry import Entry, EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Evidence
from gonogo.model.people import Attestation, SignOff
from gonogo.model.release import Fingerprint, Release
from gonogo.people.trust import trusted
from gonogo.release.manifest import release_of
from gonogo.release.record import Record, fold, read_record
from gonogo.report.board import Board
from gonogo.report.page import Page, Said
from gonogo.report.timeline import deployment_view
from gonogo.watch.baseline import latest_baseline

_WATCHED = frozenset({EntryKind.WATCH_SAMPLE, EntryKind.WATCH_JUDGED, EntryKind.DEPLOYMENT_FINISHED})


@dataclass(frozen=True, slots=True)
class _Moment:
    """A recorded verdict: what was judged, when, and the record as it was then."""

    release: Release
    at: datetime
    record: Record


def page_of(desk: Desk, version: str | None) -> Page:
    """Everything that the report of ``version`` shows.

    Raises:
        GonogoError: report.nothing-judged if no verdict on it was ever recorded.
    """
    chosen = desk.version_or_newest(version)
    record = read_record(desk.journal, desk.release_id(chosen))
    moment = _moment(desk, chosen, record)
    watched = list(desk.journal.entries(release=record.release, kinds=_WATCHED))
    baseline = latest_baseline(desk.journal, record.release)
    board = board_at(desk, moment.release, moment.record, moment.at)
    return Page(
        board=board,
        deployments=tuple(
            deployment_view(deployment, watched, baseline, record.announcements)
            for deployment in reversed(record.deployments)
        ),
        statements=_said(desk, record, moment),
        waivers=record.waivers,
        not_applicable=desk.settings.not_applicable,
        evidence=_shown_evidence(board, record),
        head=desk.journal.head(),
        made_at=desk.clock(),
    )


def _moment(desk: Desk, version: str, record: Record) -> _Moment:
    gates = [
        entry
        for entry in desk.journal.entries(release=record.release, kinds=frozenset({EntryKind.GATE}))
        if entry.body["environment"] == desk.environment_name
    ]
    deployed = record.deployments[-1].facts.get("fingerprint") if record.deployments else None
    chosen = [entry for entry in gates if entry.body["fingerprint"] == deployed] or gates
    if not chosen:
        raise GonogoError(
            "report.nothing-judged",
            f"no verdict on {version} for {desk.environment_name} is recorded; expected at least one",
            hint=f"gonogo check {version}",
            exit_code=1,
        )
    gate = chosen[-1]
    upto = (entry for entry in desk.journal.entries(release=record.release) if entry.seq <= gate.seq)
    return _Moment(_release(desk, version, gate), gate.at, fold(upto, record.release))


def _release(desk: Desk, version: str, gate: Entry) -> Release:
    parts = gate.body["parts"]
    fingerprint = Fingerprint(parts["commit"], parts["artefact"], parts["config"], parts["plan"])
    return release_of(desk.settings, version, desk.environment_name, fingerprint)


def _shown_evidence(board: Board, record: Record) -> tuple[Evidence, ...]:
    shown = {name for row in board.rows for name in row.evidence}
    return tuple(item for item in record.evidence.values() if item.id in shown)


def _said(desk: Desk, record: Record, moment: _Moment) -> tuple[Said, ...]:
    """What people said, newest first, each with whether it holds for what was judged."""
    checked = trusted(record.attestations, record.sign_offs, (), roster=desk.roster, release=record.release)
    refused = {id(statement): why for statement, why in checked.refused}
    names = {person.id: person.name for person in desk.roster}
    given: list[Attestation | SignOff] = [*record.attestations, *record.sign_offs]
    said = []
    for statement in sorted(given, key=lambda one: one.at, reverse=True):
        why_not = refused.get(id(statement)) or _why_not(statement, moment)
        said.append(_said_once(statement, names.get(statement.person, statement.person), why_not))
    return tuple(said)


def _said_once(statement: Attestation | SignOff, name: str, why_not: str) -> Said:
    if isinstance(statement, Attestation):
        role, text = "attests", statement.statement
    else:
        role, text = f"signs as {statement.role}", "approves what was shown"
    return Said(
        name=name,
        role=role,
        check_id=statement.check_id,
        statement=text,
        at=statement.at,
        fingerprint=statement.fingerprint,
        shown_digest=statement.shown_digest,
        signature=statement.signature,
        current=not why_not,
        why_not=why_not,
    )


def _why_not(statement: Attestation | SignOff, moment: _Moment) -> str:
    if statement.fingerprint != moment.release.fingerprint.digest:
        return "given for another fingerprint"
    if statement.at > moment.at:
        return "given after this verdict"
    ends_at = statement.valid_until if isinstance(statement, Attestation) else sign_off_end(statement)
    return f"ended {ends_at:%Y-%m-%d %H:%M} UTC" if ends_at <= moment.at else ""
