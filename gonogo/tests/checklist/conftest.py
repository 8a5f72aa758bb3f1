"""Facts for tests of the gate, with everything but what a test is about filled in: the ``facts`` fixture."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import pytest

from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checklist.gate import judge_gate
from gonogo.checklist.profile import GateProfile
from gonogo.checklist.roles import ROLE_OF
from gonogo.model.finding import Answer, Finding
from gonogo.model.people import Attestation, Role, SignOff, Waiver
from gonogo.model.verdict import GateResult

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PRINT = "f" * 64
OTHER_PRINT = "0" * 64
HOUR = timedelta(hours=1)

ROLES = {
    "ada": {Role.BUILD_LEAD, Role.TECH_LEAD},
    "bob": {Role.OPERATIONS_LEAD},
    "cyd": {Role.SECURITY_OFFICER},
    "dan": {Role.RELEASE_MANAGER},
    "eve": set(),
}

_ids = count(1)


def finding(check_id: str, answer: Answer = Answer.PASS, **changes) -> Finding:
    given = {
        "id": f"fi-{next(_ids)}",
        "check_id": check_id,
        "subject": "notes",
        "answer": answer,
        "reason": f"measured: {answer}",
        "hint": None,
        "evidence": ("ev-1",),
        "fingerprint": PRINT,
        "measured_at": NOW - timedelta(minutes=5),
        "valid_until": NOW + HOUR,
    }
    return Finding(**(given | changes))


def attestation(check_id: str, **changes) -> Attestation:
    given = {
        "check_id": check_id,
        "person": "bob",
        "statement": "I am here",
        "fingerprint": PRINT,
        "at": NOW - timedelta(minutes=5),
        "valid_until": NOW + HOUR,
        "signature": "signed",
    }
    return Attestation(**(given | changes))


def sign_off(check_id: str, person: str, **changes) -> SignOff:
    given = {
        "check_id": check_id,
        "role": ROLE_OF.get(check_id, Role.PRIMARY),
        "person": person,
        "fingerprint": PRINT,
        "shown_digest": "5" * 64,
        "at": NOW - timedelta(minutes=5),
        "signature": f"signed by {person}",
        "valid_until": NOW + HOUR,
    }
    return SignOff(**(given | changes))


def waiver(check_id: str, owner: str, **changes) -> Waiver:
    given = {
        "check_id": check_id,
        "owner": owner,
        "reason": "known and small",
        "starts_at": NOW - HOUR,
        "ends_at": NOW + HOUR,
        "signature": f"signed by {owner}",
    }
    return Waiver(**(given | changes))


def judge(
    gated,
    findings=(),
    *,
    attestations=(),
    sign_offs=(),
    waivers=(),
    now=NOW,
    fingerprint=PRINT,
    roles=ROLES,
) -> GateResult:
    return judge_gate(
        CATALOGUE.all,
        findings,
        attestations,
        sign_offs,
        waivers,
        profile=GateProfile("test", "because", frozenset(gated)),
        fingerprint=fingerprint,
        now=now,
        roles=roles,
    )


def answer_in(result: GateResult, check_id: str) -> Finding:
    return next(one for one in (*result.findings, *result.outside) if one.check_id == check_id)


@pytest.fixture(scope="session")
def facts() -> SimpleNamespace:
    return SimpleNamespace(
        NOW=NOW,
        HOUR=HOUR,
        PRINT=PRINT,
        OTHER_PRINT=OTHER_PRINT,
        ROLES=ROLES,
        finding=finding,
        attestation=attestation,
        sign_off=sign_off,
        waiver=waiver,
        judge=judge,
        answer_in=answer_in,
    )
