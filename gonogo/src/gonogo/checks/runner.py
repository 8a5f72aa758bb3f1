"""Runs checks: bounded, in order, and so that nothing that goes wrong ever looks like a pass.

A probe that raises, hangs or is short of a capability becomes ``unknown`` with the reason. Readings are
stored as evidence. Order: checks that measure the baseline, those that look at production, the others that
look, those that disturb, one at a time, then roll-ups, children first. Every finding is journalled.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gonogo.adapters.command import CommandError
from gonogo.checklist.applies import Applicability, Applies, applicability
from gonogo.checklist.catalogue import CATALOGUE, Catalogue
from gonogo.checklist.freshness import default_validity
from gonogo.checklist.rollup import roll_up
from gonogo.checks.attested import SAID_KINDS, Said, is_for_people, ruling_on
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.journal.evidence import EvidenceStore
from gonogo.journal.journal import Journal
from gonogo.model.codec import to_json
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer, Finding
from gonogo.model.requirement import Kind, Requirement

PER_TARGET = 2
ACTOR = "gonogo"
MAX_REASON = 400

Progress = Callable[[Finding], None]
"""Told each finding as soon as it stands in the journal."""


@dataclass(slots=True)
class _Run:
    """One run in progress."""

    ctx: CheckContext
    journal: Journal
    evidence: EvidenceStore
    catalogue: Catalogue
    said: Said
    progress: Progress | None
    findings: dict[str, Finding] = field(default_factory=dict)

    def record(
        self,
        requirement: Requirement,
        ruling: Ruling,
        *,
        evidence: tuple[str, ...] = (),
        valid_for: timedelta | None = None,
        ends_at: datetime | None = None,
        built: bool = True,
    ) -> None:
        now = self.ctx.clock()
        valid_until = now + (valid_for or default_validity(requirement))
        finding = Finding(
            id=f"fi-{secrets.token_hex(6)}",
            check_id=requirement.id,
            subject=ruling.subject,
            answer=ruling.answer,
            reason=ruling.reason[:MAX_REASON],
            hint=ruling.hint,
            evidence=evidence,
            fingerprint=self.ctx.release.fingerprint.digest,
            measured_at=now,
            valid_until=min(valid_until, ends_at) if ends_at else valid_until,
            built=built,
        )
        self.journal.append(EntryKind.FINDING, to_json(finding), actor=ACTOR, release=self.ctx.release.id)
        self.findings[requirement.id] = finding
        if self.progress:
            self.progress(finding)

    def store(self, reading: Reading, read_at: datetime) -> str:
        stored = self.evidence.put(reading, read_at=read_at)
        self.journal.append(EntryKind.EVIDENCE, to_json(stored), actor=ACTOR, release=self.ctx.release.id)
        return stored.id


async def run_checks(
    checks: Mapping[str, Check],
    ctx: CheckContext,
    *,
    journal: Journal,
    evidence: EvidenceStore,
    requirements: Sequence[Requirement],
    only: Collection[str] | None = None,
    progress: Progress | None = None,
    catalogue: Catalogue = CATALOGUE,
) -> tuple[Finding, ...]:
    """Answer ``requirements``, each with one finding, in their order.

    Args:
        only: ids to answer instead of all; what they roll up is answered too.

    Raises:
        GonogoError: when the record cannot be written, or ``[not_applicable]`` names an unknown group.
    """
    asked = _asked(requirements, only, catalogue)
    entries = journal.entries(release=ctx.release.id, kinds=SAID_KINDS)
    said = Said.of(entries, ctx.release, ctx.settings.people, catalogue.all, ctx.clock())
    run = _Run(ctx, journal, evidence, catalogue, said, progress)
    pending = _settle_without_probing(run, checks, asked)
    await _probe(run, pending)
    for requirement in sorted(asked, key=lambda r: r.number, reverse=True):
        if requirement.id not in run.findings:
            _roll_up(run, requirement, checks)
    return tuple(run.findings[requirement.id] for requirement in asked)


def _asked(
    requirements: Sequence[Requirement], only: Collection[str] | None, catalogue: Catalogue
) -> list[Requirement]:
    if only is None:
        return list(requirements)
    wanted = {r.id for r in requirements if r.id in only}
    todo = list(wanted)
    while todo:
        for child in catalogue.children(todo.pop()):
            if child.id not in wanted:
                wanted.add(child.id)
                todo.append(child.id)
    return [r for r in catalogue.all if r.id in wanted]


def _settle_without_probing(
    run: _Run, checks: Mapping[str, Check], asked: Sequence[Requirement]
) -> list[tuple[Check, list[Requirement]]]:
    """Answer what needs no look at the world; give back the probes to run, each with its requirements."""
    by_box = {box: check for check in checks.values() for box in check.boxes}
    ctx = run.ctx
    pending: dict[str, tuple[Check, list[Requirement]]] = {}
    for requirement in asked:
        check = by_box.get(requirement.id)
        scope = applicability(requirement, ctx.settings, ctx.environment_name, now=ctx.clock())
        if scope.applies is Applies.NO:
            ruling = Ruling(Answer.NOT_APPLICABLE, requirement.applies_when, scope.reason)
            run.record(requirement, ruling, ends_at=scope.until)
        elif check is not None and check.probe is not None:
            pending.setdefault(check.id, (check, []))[1].append(requirement)
        elif is_for_people(requirement):
            ruling = ruling_on(requirement, run.said.statements, ctx.release.version)
            run.record(requirement, _unless_out_of_scope(ruling, scope))
        elif check is None and not run.catalogue.children(requirement.id):
            run.record(requirement, _not_built(requirement, scope), built=False)
    return list(pending.values())


def _unless_out_of_scope(ruling: Ruling, scope: Applicability) -> Ruling:
    """A missing word is unknown, not a failure, while it cannot be told whether anybody must give it."""
    if ruling.answer is Answer.FAIL and scope.applies is Applies.UNKNOWN:
        return Ruling(Answer.UNKNOWN, ruling.subject, f"{ruling.reason}; {scope.reason}", scope.hint)
    return ruling


def _not_built(requirement: Requirement, scope: Applicability) -> Ruling:
    reason = "not built: gonogo has no check for this yet"
    if scope.applies is Applies.UNKNOWN:
        return Ruling(Answer.UNKNOWN, requirement.kind, f"{reason}; {scope.reason}", scope.hint)
    hint = "check it by hand; leave it out of the profile, or waive it with a reason"
    return Ruling(Answer.UNKNOWN, requirement.kind, reason, hint)


async def _probe(run: _Run, pending: Sequence[tuple[Check, list[Requirement]]]) -> None:
    limits: dict[str, asyncio.Semaphore] = {}

    async def one(check: Check, requirements: list[Requirement]) -> None:
        async with limits.setdefault(_target(check), asyncio.Semaphore(PER_TARGET)):
            await _answer(run, check, requirements)

    for wave in (_measures_the_baseline, _looks_at_production, _is_calm):
        now = [pair for pair in pending if wave(pair[0])]
        pending = [pair for pair in pending if not wave(pair[0])]
        await asyncio.gather(*(one(check, requirements) for check, requirements in now))
    for check, requirements in pending:
        await _answer(run, check, requirements)


def _measures_the_baseline(check: Check) -> bool:
    """These go first and among themselves: a baseline that was taken while tests and a scratch copy slowed
    the machine would let a release pass that is as slow without them."""
    return "baseline" in check.needs and _is_calm(check)


def _looks_at_production(check: Check) -> bool:
    """These are next, so that nothing of ours slows what they look at."""
    return "admin" in check.needs and _is_calm(check)


def _is_calm(check: Check) -> bool:
    return check.side_effect is not SideEffect.DISRUPTIVE


def _target(check: Check) -> str:
    """What a check loads: no more than ``PER_TARGET`` checks load the same thing at once."""
    return next(
        (name for name in ("scratch", "baseline", "admin", "mcp") if name in check.needs), "repository"
    )


async def _answer(run: _Run, check: Check, requirements: list[Requirement]) -> None:
    ruling, readings, read_at = await _ruling(run.ctx, check)
    try:
        evidence = tuple(run.store(reading, read_at) for reading in readings)
    except GonogoError as error:
        evidence = ()
        ruling = Ruling(
            Answer.UNKNOWN, ruling.subject, f"the evidence cannot be kept: {error.message}", error.hint
        )
    for requirement in requirements:
        run.record(requirement, ruling, evidence=evidence, valid_for=timedelta(seconds=check.valid_s))


async def _ruling(ctx: CheckContext, check: Check) -> tuple[Ruling, Sequence[Reading], datetime]:
    """Probe and judge; whatever goes wrong on the way is unknown."""
    for need in sorted(check.needs):
        missing = ctx.missing(need)
        if missing is not None:
            return Ruling(Answer.UNKNOWN, need, missing[0], missing[1]), (), ctx.clock()
    assert check.probe is not None
    assert check.judge is not None
    readings: Sequence[Reading] = ()
    try:
        async with asyncio.timeout(check.deadline_s):
            readings = await check.probe(ctx)
        read_at = ctx.clock()
        if not readings:
            return Ruling(Answer.UNKNOWN, check.id, "the probe brought nothing back"), (), read_at
        return check.judge(readings, ctx), readings, read_at
    except TimeoutError:
        ruling = Ruling(
            Answer.UNKNOWN,
            check.id,
            f"no answer within {check.deadline_s:g} s",
            "see whether the subject answers",
        )
    except GonogoError as error:
        ruling = Ruling(Answer.UNKNOWN, check.id, error.message, error.hint)
        if error.note:
            readings = (*readings, _note(check, error))
    except Exception as error:  # noqa: BLE001 - a broken probe or judge is unknown, never a crash, never a pass
        ruling = Ruling(
            Answer.UNKNOWN,
            check.id,
            f"the check itself broke: {type(error).__name__}: {str(error)[:200]}",
            "this is a fault of gonogo or of what it read: report it with the evidence",
        )
    return ruling, readings, ctx.clock()


def _note(check: Check, error: GonogoError) -> Reading:
    source = "output of the command" if isinstance(error, CommandError) else f"{check.id}: {error.error_id}"
    return Reading(source, "text/plain", (error.note or "").encode())


def _roll_up(run: _Run, requirement: Requirement, checks: Mapping[str, Check]) -> None:
    check = checks.get(requirement.id)
    children = run.catalogue.children(requirement.id)
    if check is not None and check.derive is not None:
        ruling = check.derive({name: run.findings[name] for name in check.children if name in run.findings})
    else:
        assert requirement.kind is Kind.DERIVED
        answer, reason = roll_up(children, run.findings, waived=run.said.waived)
        open_ones = [c.id for c in children if _is_open(run.findings.get(c.id))]
        hint = f"gonogo explain {open_ones[0]}" if open_ones and answer is not Answer.PASS else None
        ruling = Ruling(answer, f"{len(children)} checks", reason, hint)
    evidence = tuple(
        dict.fromkeys(e for c in children if c.id in run.findings for e in run.findings[c.id].evidence)
    )
    built = any(run.findings[child.id].built for child in children if child.id in run.findings)
    run.record(requirement, ruling, evidence=evidence, built=built or check is not None)


def _is_open(finding: Finding | None) -> bool:
    return finding is None or finding.answer in {Answer.FAIL, Answer.UNKNOWN}
