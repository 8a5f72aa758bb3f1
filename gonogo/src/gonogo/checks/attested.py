"""Answers the requirements that only people can answer, from what they said and signed.

One place for all of them: a sign-off by the role that the requirement names, or an attestation. Whose word it
is says ``gonogo.people.trust``, whether it counts ``gonogo.checklist.answers``; this makes rulings of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gonogo.checklist.answers import Statements, sign_off_end
from gonogo.checklist.roles import ROLE_OF
from gonogo.checklist.waivers import waived_ids
from gonogo.checks.check import Ruling
from gonogo.config.schema import PersonConfig
from gonogo.model.codec import Fact, from_json
from gonogo.model.entry import Entry, EntryKind
from gonogo.model.finding import Answer
from gonogo.model.people import Attestation, SignOff, Waiver
from gonogo.model.release import Release
from gonogo.model.requirement import Kind, Requirement
from gonogo.people.roster import Roster
from gonogo.people.trust import trusted

SAID_KINDS = frozenset({EntryKind.ATTESTATION, EntryKind.SIGN_OFF, EntryKind.WAIVER})


@dataclass(frozen=True, slots=True)
class Said:
    """What people said about one release, with signatures that hold.

    Attributes:
        statements: what of it counts for the release's fingerprint now.
        waived: requirements whose failure is validly waived now.
    """

    statements: Statements
    waived: frozenset[str]

    @classmethod
    def of(
        cls,
        entries: Iterable[Entry],
        release: Release,
        people: Mapping[str, PersonConfig],
        requirements: Sequence[Requirement],
        now: datetime,
    ) -> Said:
        """Read from entries of the kinds ``SAID_KINDS``.

        Raises:
            GonogoError: people.bad-key or people.shared-key in the roster.
        """
        found = list(entries)
        roster = Roster(people)
        given = trusted(
            _of_kind(found, EntryKind.ATTESTATION, Attestation),
            _of_kind(found, EntryKind.SIGN_OFF, SignOff),
            _of_kind(found, EntryKind.WAIVER, Waiver),
            roster=roster,
            release=release.id,
        )
        statements = Statements.of(
            given.attestations,
            given.sign_offs,
            fingerprint=release.fingerprint.digest,
            now=now,
            roles=roster.roles,
        )
        return cls(statements, waived_ids(requirements, given.waivers, now=now, roles=roster.roles))


def is_for_people(requirement: Requirement) -> bool:
    """Whether only a person's word answers it."""
    return requirement.kind in {Kind.ATTEST, Kind.ASSISTED}


def ruling_on(requirement: Requirement, statements: Statements, version: str) -> Ruling:
    """Pass with a valid word for this very fingerprint, else fail with the command that gives it."""
    if requirement.kind is Kind.ATTEST:
        return _by_sign_off(requirement, statements, version)
    return _by_attestation(requirement, statements, version)


def _by_sign_off(requirement: Requirement, statements: Statements, version: str) -> Ruling:
    role = ROLE_OF[requirement.id]
    given = statements.signed.get(requirement.id)
    if given is not None:
        ends = sign_off_end(given)
        return Ruling(
            Answer.PASS, given.person, f"signed by {given.person} as {role}, until {ends:%Y-%m-%d %H:%M} UTC"
        )
    refused = statements.refused.get(requirement.id)
    return Ruling(
        Answer.FAIL,
        role,
        f"not signed: {refused}" if refused else f"not signed yet; expected the signature of the {role}",
        f"gonogo sign {requirement.id} --version {version} --as PERSON --key PATH",
    )


def _by_attestation(requirement: Requirement, statements: Statements, version: str) -> Ruling:
    given = statements.attested.get(requirement.id)
    if given is not None:
        return Ruling(
            Answer.PASS,
            given.person,
            f"attested by {given.person}, until {given.valid_until:%Y-%m-%d %H:%M} UTC: {given.statement}",
        )
    refused = statements.refused.get(requirement.id)
    return Ruling(
        Answer.FAIL,
        "people",
        f"not attested: {refused}" if refused else "not attested yet; expected a person's signed statement",
        f"gonogo attest {requirement.id} --version {version} --as PERSON --statement TEXT --key PATH",
    )


def _of_kind(entries: Iterable[Entry], kind: EntryKind, fact_type: type[Fact]) -> list[Fact]:
    return [from_json(fact_type, entry.body) for entry in entries if entry.kind is kind]
