"""What people do: attest, sign off, waive. Each checks who may, signs, verifies and records.

Two ways to sign: with a ``Signer`` in one go, or in two halves: ``draft_...`` gives the unsigned statement,
``text_to_sign`` its text for ``ssh-keygen -Y sign``, and ``record`` takes the signed one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

from gonogo.checklist.answers import SIGN_OFF_VALIDITY, sign_off_end
from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checklist.freshness import default_validity
from gonogo.checklist.roles import FINAL_SIGN_OFF, ROLE_OF
from gonogo.journal.journal import Journal
from gonogo.model.clock import Clock
from gonogo.model.codec import from_json, to_json
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.people import Attestation, Role, SignOff, Waiver
from gonogo.model.release import Release
from gonogo.model.requirement import Kind
from gonogo.model.statement import Statement
from gonogo.people.roster import Roster
from gonogo.people.trust import Given, check_signature, signer_of, text_to_sign, trusted

Signer = Callable[[bytes], str]
"""Turns a text into SSHSIG armour, such as ``lambda text: sign(key_path, text)``."""

STATEMENT_LIMIT_CHARS = 4000
WAIVER_LIMIT = timedelta(days=90)
_KIND_OF = {
    Attestation: EntryKind.ATTESTATION,
    SignOff: EntryKind.SIGN_OFF,
    Waiver: EntryKind.WAIVER,
}


def attest(
    journal: Journal,
    roster: Roster,
    *,
    check_id: str,
    release: Release,
    person: str,
    statement: str,
    signer: Signer,
    clock: Clock,
    shown_digest: str = "",
) -> Attestation:
    """Record a person's signed statement that answers an assisted requirement.

    Raises:
        GonogoError: those of ``draft_attestation`` and ``record``, and what ``signer`` raises.
    """
    draft = draft_attestation(
        roster,
        check_id=check_id,
        release=release,
        person=person,
        statement=statement,
        at=clock(),
        shown_digest=shown_digest,
    )
    return record(journal, roster, _signed(draft, release, signer), release=release)


def sign_off(
    journal: Journal,
    roster: Roster,
    *,
    check_id: str,
    release: Release,
    person: str,
    shown_digest: str,
    signer: Signer,
    clock: Clock,
    demanded: Collection[str] = FINAL_SIGN_OFF,
) -> SignOff:
    """Record a role's signed approval of one fingerprint.

    Args:
        shown_digest: evidence digest of the board that the person saw.
        demanded: the requirement ids that the gate demands; those of the final sign-off among them must be
            signed before the release manager signs.

    Raises:
        GonogoError: those of ``draft_sign_off`` and ``record``, ``people.too-early``.
    """
    draft = draft_sign_off(
        roster, check_id=check_id, release=release, person=person, shown_digest=shown_digest, at=clock()
    )
    if check_id == FINAL_SIGN_OFF[-1]:
        _demand_the_others(journal, roster, release, draft.at, demanded)
    return record(journal, roster, _signed(draft, release, signer), release=release)


def waive(
    journal: Journal,
    roster: Roster,
    *,
    check_id: str,
    release: Release,
    owner: str,
    reason: str,
    ends_at: datetime,
    signer: Signer,
    clock: Clock,
) -> Waiver:
    """Record a signed waiver, from now to ``ends_at``. A blocker needs a second one by another person.

    Raises:
        GonogoError: ``checklist.unknown-requirement``, ``people.unknown-person``, ``people.wrong-role`` if
            the owner holds no role, ``people.bad-statement`` without a reason or with an end that is past or
            more than 90 days ahead, and those of ``record``.
    """
    CATALOGUE.get(check_id)
    now = clock()
    if not roster.get(owner).roles:
        raise _wrong_role(owner, "no role", "any role")
    if not now < ends_at <= now + WAIVER_LIMIT:
        raise GonogoError(
            "people.bad-statement",
            f"a waiver must end after now and within 90 days, got {ends_at:%Y-%m-%d %H:%M} UTC",
        )
    draft = Waiver(check_id, owner, _plain_text(reason), now, ends_at)
    return record(journal, roster, _signed(draft, release, signer), release=release)


def draft_attestation(
    roster: Roster,
    *,
    check_id: str,
    release: Release,
    person: str,
    statement: str,
    at: datetime,
    shown_digest: str = "",
) -> Attestation:
    """An attestation that lacks only its signature.

    Raises:
        GonogoError: ``checklist.unknown-requirement``, ``people.not-attestable`` if a machine or a role's
            signature answers the requirement, ``people.unknown-person``, ``people.bad-statement``.
    """
    requirement = CATALOGUE.get(check_id)
    if requirement.kind is not Kind.ASSISTED:
        signs = requirement.kind is Kind.ATTEST
        raise GonogoError(
            "people.not-attestable",
            f"no statement answers this requirement, got {check_id} of kind {requirement.kind}",
            hint=f"gonogo sign {check_id}" if signs else f"gonogo check --only {check_id}",
        )
    return Attestation(
        check_id=check_id,
        person=roster.get(person).id,
        statement=_plain_text(statement),
        fingerprint=release.fingerprint.digest,
        at=at,
        valid_until=at + default_validity(requirement),
        signature="",
        shown_digest=shown_digest,
    )


def draft_sign_off(
    roster: Roster, *, check_id: str, release: Release, person: str, shown_digest: str, at: datetime
) -> SignOff:
    """A sign-off that lacks only its signature.

    Raises:
        GonogoError: ``people.not-signable``, ``people.unknown-person``, ``people.wrong-role``.
    """
    role = _role_for(check_id)
    signer = roster.get(person)
    if role not in signer.roles:
        held = ", ".join(sorted(signer.roles)) or "no role"
        holders = ", ".join(holder.id for holder in roster.with_role(role)) or "nobody yet"
        raise _wrong_role(person, held, f"{role} (held by {holders})")
    return SignOff(
        check_id=check_id,
        role=role,
        person=signer.id,
        fingerprint=release.fingerprint.digest,
        shown_digest=shown_digest,
        at=at,
        signature="",
        valid_until=at + SIGN_OFF_VALIDITY,
    )


def record(journal: Journal, roster: Roster, statement: Given, *, release: Release) -> Given:
    """Verify a signed statement and append it.

    Raises:
        GonogoError: ``people.stale-fingerprint`` if it was signed for another fingerprint than the release
            has now, ``people.unknown-person``, ``people.bad-signature``, and the journal's.
    """
    _refuse_stale(statement, release)
    check_signature(statement, roster=roster, release=release.id)
    kind = _KIND_OF[type(statement)]
    journal.append(kind, to_json(statement), actor=signer_of(statement), release=release.id)
    return statement


def requirement_to_sign(role_or_check: str) -> str:
    """The requirement that a role's signature answers, from the role or the requirement itself.

    Raises:
        GonogoError: ``people.not-signable`` naming what can be signed.
    """
    by_role = {str(role): check_id for check_id, role in ROLE_OF.items()}
    check_id = by_role.get(role_or_check, role_or_check)
    _role_for(check_id)
    return check_id


def _role_for(check_id: str) -> Role:
    role = ROLE_OF.get(check_id)
    if role is None:
        raise GonogoError(
            "people.not-signable",
            f"no role signs this, got {check_id!r}; expected one of: {', '.join(ROLE_OF)}",
            hint="assisted requirements are answered with `gonogo attest`",
        )
    return role


def _refuse_stale(statement: Statement, release: Release) -> None:
    if isinstance(statement, Waiver) or statement.fingerprint == release.fingerprint.digest:
        return
    raise GonogoError(
        "people.stale-fingerprint",
        f"the release changed since this was signed, got fingerprint {statement.fingerprint[:12]}; "
        f"expected {release.fingerprint.digest[:12]}",
        hint="look at the board again and sign what it shows now",
        exit_code=1,
    )


def _demand_the_others(
    journal: Journal, roster: Roster, release: Release, at: datetime, demanded: Collection[str]
) -> None:
    entries = journal.entries(release=release.id, kinds={EntryKind.SIGN_OFF})
    sign_offs = [from_json(SignOff, entry.body) for entry in entries]
    good = trusted((), sign_offs, (), roster=roster, release=release.id).sign_offs
    given = {
        other.check_id
        for other in good
        if other.fingerprint == release.fingerprint.digest and at < sign_off_end(other)
    }
    missing = [name for name in FINAL_SIGN_OFF[:-1] if name in demanded and name not in given]
    if missing:
        raise GonogoError(
            "people.too-early",
            f"the release manager signs last, got no signature yet for: {', '.join(missing)}",
            hint=f"gonogo sign {missing[0]} --version VERSION --as PERSON --key PATH",
            exit_code=1,
        )


def _signed(draft: Given, release: Release, signer: Signer) -> Given:
    signed: Given = replace(draft, signature=signer(text_to_sign(draft, release=release.id)))
    return signed


def _plain_text(text: str) -> str:
    plain = text.strip()
    if not plain or len(plain) > STATEMENT_LIMIT_CHARS:
        raise GonogoError(
            "people.bad-statement",
            f"a statement says something, got {len(plain)} characters; expected 1 to {STATEMENT_LIMIT_CHARS}",
        )
    return plain


def _wrong_role(person: str, held: str, demanded: str) -> GonogoError:
    return GonogoError(
        "people.wrong-role",
        f"{person} may not sign this, got {held}; expected {demanded}",
        hint="let somebody sign who holds the role, or change the roster in gonogo.toml",
        exit_code=1,
    )


__all__ = [
    "Signer",
    "Statement",
    "attest",
    "draft_attestation",
    "draft_sign_off",
    "record",
    "requirement_to_sign",
    "sign_off",
    "text_to_sign",
    "waive",
]
