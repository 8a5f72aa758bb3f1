"""The gate: from findings, attestations, sign-offs and waivers to GO, NO-GO or HOLD. Pure.

Unknown never opens it: what is missing, stale, made for another fingerprint or not built is unknown, and an
unknown blocker or required row holds the gate; a failed one shuts it unless the failure is validly waived.
A waiver covers a failure, never an unknown. No statement stands in for what a machine must measure.

It does not verify signatures: hand it statements that ``gonogo.people.trust`` has verified. It does not know
who wrote a change; that no author is the only approver is ``build.changes-approved``'s to judge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from gonogo.checklist.answers import Statements, answer_of, newest_findings
from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checklist.profile import GateProfile
from gonogo.checklist.roles import FINAL_SIGN_OFF, FINAL_SIGN_OFF_PEOPLE_MIN
from gonogo.checklist.rollup import roll_up
from gonogo.checklist.waivers import waived_ids
from gonogo.model.finding import Answer, Finding, worst
from gonogo.model.people import Attestation, Role, SignOff, Waiver
from gonogo.model.requirement import Requirement, Severity
from gonogo.model.verdict import GateResult, Verdict

NO_ROLES: Mapping[str, Collection[Role]] = MappingProxyType({})
_OPEN = (Answer.PASS, Answer.WARN, Answer.NOT_APPLICABLE)


def judge_gate(
    requirements: Sequence[Requirement],
    findings: Iterable[Finding],
    attestations: Iterable[Attestation],
    sign_offs: Iterable[SignOff],
    waivers: Iterable[Waiver],
    *,
    profile: GateProfile,
    fingerprint: str,
    now: datetime,
    roles: Mapping[str, Collection[Role]] = NO_ROLES,
) -> GateResult:
    """Judge one gate.

    Args:
        requirements: the checklist, in document order.
        findings: any findings, in any order; the newest fresh one of each check counts.
        attestations, sign_offs: statements with verified signatures.
        profile: which requirements the gate demands.
        fingerprint: digest of what is to be released; statements and findings for another do not count.
        roles: person id to the roles held; without it no sign-off and no waiver counts.
    """
    measured = newest_findings(requirements, findings, fingerprint=fingerprint, now=now)
    statements = Statements.of(attestations, sign_offs, fingerprint=fingerprint, now=now, roles=roles)
    answers = {row.id: answer_of(row, measured[row.id], statements) for row in requirements}
    _demand_enough_signers(answers, statements, profile)
    waived = set(waived_ids(requirements, waivers, now=now, roles=roles))
    _settle_roll_ups(requirements, measured, answers, waived)

    gated = [row for row in requirements if row.id in profile.checks]
    shut = [
        row for row in gated if row.severity is not Severity.ADVISORY and answers[row.id].answer not in _OPEN
    ]
    excused = [row for row in shut if row.id in waived and answers[row.id].answer is Answer.FAIL]
    blocking = [answers[row.id] for row in shut if row not in excused]
    return GateResult(
        verdict=_verdict([answers[row.id] for row in gated], blocking),
        profile=profile.name,
        fingerprint=fingerprint,
        findings=tuple(answers[row.id] for row in gated),
        blocking=tuple(blocking),
        waived=tuple(answers[row.id] for row in excused),
        remarks=tuple(answers[row.id] for row in gated if _is_remark(row, answers[row.id].answer)),
        outside=tuple(answers[row.id] for row in requirements if row.id not in profile.checks),
    )


def _verdict(gated: Sequence[Finding], blocking: Sequence[Finding]) -> Verdict:
    if any(finding.answer is Answer.FAIL for finding in blocking):
        return Verdict.NO_GO
    shown = any(finding.answer in (Answer.PASS, Answer.WARN) for finding in gated)
    return Verdict.GO if shown and not blocking else Verdict.HOLD  # a gate that shows nothing proves nothing


def _is_remark(row: Requirement, answer: Answer) -> bool:
    if row.severity is Severity.ADVISORY:
        return answer in (Answer.FAIL, Answer.UNKNOWN, Answer.WARN)
    return answer is Answer.WARN


def _demand_enough_signers(answers: dict[str, Finding], statements: Statements, profile: GateProfile) -> None:
    """The final sign-off takes several people: the last signature does not count if too few gave all four."""
    if not profile.checks.issuperset(FINAL_SIGN_OFF):
        return
    signers = [statements.signer_of(name) for name in FINAL_SIGN_OFF]
    if None in signers or len(set(signers)) >= FINAL_SIGN_OFF_PEOPLE_MIN:
        return
    last = FINAL_SIGN_OFF[-1]
    answers[last] = replace(
        answers[last],
        answer=Answer.FAIL,
        reason=f"{len(set(signers))} people gave all four signatures of the final sign-off; "
        f"at least {FINAL_SIGN_OFF_PEOPLE_MIN} must",
        hint="let another person who holds one of the four roles sign",
    )


def _settle_roll_ups(
    requirements: Sequence[Requirement],
    measured: Mapping[str, Finding],
    answers: dict[str, Finding],
    waived: set[str],
) -> None:
    """Let what people said since, and waivers of children, count in the roll-ups above them.

    A recorded roll-up that is worse than its measured children explain looked at more than them, and stands.
    One whose failure comes from waived children alone counts as waived too, and is never shown as a pass.
    """
    for row in requirements:
        children = CATALOGUE.children_by_id.get(row.id, ())
        recorded = measured[row.id]
        if not children or recorded.id == "" or not recorded.built:
            continue
        explained, _ = roll_up(children, measured)
        if worst((recorded.answer, explained)) is not explained:
            continue
        answer, reason = roll_up(children, answers)
        if answer is Answer.FAIL:
            excused, excused_reason = roll_up(children, answers, waived=waived)
            if excused in _OPEN:
                waived.add(row.id)
            elif excused is Answer.UNKNOWN:
                answer, reason = excused, excused_reason
        if answer is not recorded.answer:
            answers[row.id] = replace(recorded, answer=answer, reason=reason)
