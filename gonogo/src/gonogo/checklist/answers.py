"""The current answer to each requirement: from the newest finding and from what people have signed.

Part of the gate and as pure. A requirement without a usable finding gets one that says unknown and why; its
id is empty because nothing was measured.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gonogo.checklist.freshness import default_validity
from gonogo.checklist.roles import ROLE_OF
from gonogo.model.evidence import digest_of
from gonogo.model.finding import Answer, Finding, badness
from gonogo.model.people import Attestation, Role, SignOff
from gonogo.model.requirement import Kind, Requirement

CLOCK_SKEW = timedelta(seconds=60)
SIGN_OFF_VALIDITY = timedelta(hours=24)


def newest_findings(
    requirements: Sequence[Requirement], findings: Iterable[Finding], *, fingerprint: str, now: datetime
) -> dict[str, Finding]:
    """For each requirement its newest finding for this fingerprint, or an unknown that says why not.

    The newest counts even when it is stale: an older answer never stands in for it. Of two findings with the
    same time the worse one counts, so that the order in which they come changes nothing.
    """
    newest: dict[str, Finding] = {}
    elsewhere: set[str] = set()
    for finding in findings:
        if finding.fingerprint != fingerprint:
            elsewhere.add(finding.check_id)
        elif finding.check_id not in newest or _rank(finding) > _rank(newest[finding.check_id]):
            newest[finding.check_id] = finding
    return {
        row.id: _fresh(newest[row.id], now)
        if row.id in newest
        else _missing(row, fingerprint, now, stale=row.id in elsewhere)
        for row in requirements
    }


@dataclass(frozen=True, slots=True)
class Statements:
    """What people have validly said about one fingerprint, and why the rest does not count."""

    attested: Mapping[str, Attestation]
    signed: Mapping[str, SignOff]
    refused: Mapping[str, str]

    @classmethod
    def of(
        cls,
        attestations: Iterable[Attestation],
        sign_offs: Iterable[SignOff],
        *,
        fingerprint: str,
        now: datetime,
        roles: Mapping[str, Collection[Role]],
    ) -> Statements:
        """Sort the valid from the rest."""
        attested: dict[str, Attestation] = {}
        signed: dict[str, SignOff] = {}
        refused: dict[str, str] = {}
        for attestation in sorted(attestations, key=lambda given: (given.at, given.signature)):
            fault = _fault(attestation, attestation.valid_until, fingerprint, now, roles)
            if fault:
                refused[attestation.check_id] = fault
            else:
                attested[attestation.check_id] = attestation
        for sign_off in sorted(sign_offs, key=lambda given: (given.at, given.signature)):
            fault = _fault(sign_off, sign_off_end(sign_off), fingerprint, now, roles) or _role_fault(
                sign_off, roles
            )
            if fault:
                refused[sign_off.check_id] = fault
            else:
                signed[sign_off.check_id] = sign_off
        return cls(attested, signed, refused)

    def signer_of(self, requirement_id: str) -> str | None:
        """Who validly signed this requirement, if anybody."""
        given = self.signed.get(requirement_id)
        return None if given is None else given.person


def sign_off_end(sign_off: SignOff) -> datetime:
    """Until when a sign-off counts."""
    return sign_off.valid_until or sign_off.at + SIGN_OFF_VALIDITY


def answer_of(row: Requirement, measured: Finding, statements: Statements) -> Finding:
    """The requirement's answer, given its newest finding and what people have signed.

    Rows of kind attest are answered by the signature of the role alone (or do not apply). Rows of kind
    assisted are answered by the later of what was measured and what a person attests; a recorded pass without
    evidence is a person's word, and counts only while that word does. All others: what was measured.
    """
    if measured.answer is Answer.NOT_APPLICABLE:
        return measured
    if row.kind is Kind.ATTEST:
        return _signed_answer(row, measured, statements)
    if row.kind is Kind.ASSISTED:
        return _assisted_answer(row, measured, statements)
    return measured


def _assisted_answer(row: Requirement, measured: Finding, statements: Statements) -> Finding:
    given = statements.attested.get(row.id)
    rests_on_words = measured.answer is Answer.PASS and not measured.evidence
    if given is not None and (
        measured.answer is Answer.UNKNOWN or rests_on_words or given.at >= measured.measured_at
    ):
        return _from_statement(
            measured, given, f"{given.person} attests: {given.statement}", given.valid_until
        )
    if rests_on_words or measured.answer is Answer.UNKNOWN:
        refused = statements.refused.get(row.id)
        reason = f"not attested: {refused}" if refused else "not attested yet, and not measured"
        return replace(measured, answer=Answer.UNKNOWN, reason=reason, hint=_attest_hint(row))
    return measured


def _attest_hint(row: Requirement) -> str:
    return f"gonogo attest {row.id} --version VERSION --as PERSON --statement TEXT --key PATH"


def _signed_answer(row: Requirement, measured: Finding, statements: Statements) -> Finding:
    role = ROLE_OF[row.id]
    signed = statements.signed.get(row.id)
    if signed is not None:
        return _from_statement(measured, signed, f"{signed.person} signed as {role}", sign_off_end(signed))
    refused = statements.refused.get(row.id)
    return replace(
        measured,
        answer=Answer.FAIL,
        built=True,
        subject=str(role),
        reason=f"not signed: {refused}" if refused else f"not signed yet; the {role}'s signature is required",
        hint=f"gonogo sign {row.id} --version VERSION --as PERSON --key PATH",
    )


def _from_statement(measured: Finding, given: Attestation | SignOff, reason: str, end: datetime) -> Finding:
    return replace(
        measured,
        id=f"fi-{digest_of(given.signature.encode())[:12]}",
        answer=Answer.PASS,
        built=True,
        subject=given.person,
        reason=reason,
        hint=None,
        evidence=(),
        measured_at=given.at,
        valid_until=end,
    )


def _fault(
    given: Attestation | SignOff,
    end: datetime,
    fingerprint: str,
    now: datetime,
    roles: Mapping[str, Collection[Role]],
) -> str | None:
    """Why a statement does not count, or None if it does."""
    if given.fingerprint != fingerprint:
        return f"what {given.person} signed was another fingerprint, got {given.fingerprint[:12]}"
    if given.at > now + CLOCK_SKEW:
        return f"{given.person}'s signature is dated in the future, got {given.at:%Y-%m-%d %H:%M} UTC"
    if now >= end:
        return f"{given.person}'s signature ended {end:%Y-%m-%d %H:%M} UTC"
    if given.person not in roles:
        return f"{given.person} is not on the roster"
    return None


def _role_fault(sign_off: SignOff, roles: Mapping[str, Collection[Role]]) -> str | None:
    demanded = ROLE_OF.get(sign_off.check_id)
    if demanded is None:
        return "no role signs this requirement"
    if sign_off.role is not demanded or demanded not in roles[sign_off.person]:
        return f"{sign_off.person} does not hold the role {demanded}"
    return None


def _rank(finding: Finding) -> tuple[datetime, int, str]:
    return finding.measured_at, badness(finding.answer), finding.id


def _fresh(finding: Finding, now: datetime) -> Finding:
    if now >= finding.valid_until:
        reason = f"stale: {finding.answer} until {finding.valid_until:%Y-%m-%d %H:%M} UTC ({finding.reason})"
    elif finding.measured_at > now + CLOCK_SKEW and finding.answer is not Answer.FAIL:
        reason = f"measured in the future, got {finding.measured_at:%Y-%m-%d %H:%M} UTC; the clocks disagree"
    else:
        return finding
    return replace(finding, answer=Answer.UNKNOWN, reason=reason, hint="gonogo check")


def _missing(row: Requirement, fingerprint: str, now: datetime, *, stale: bool) -> Finding:
    reason = "stale: measured for another fingerprint" if stale else "not measured yet"
    return Finding(
        id="",
        check_id=row.id,
        subject="",
        answer=Answer.UNKNOWN,
        reason=reason,
        hint="gonogo check",
        evidence=(),
        fingerprint=fingerprint,
        measured_at=now,
        valid_until=now + default_validity(row),
    )
