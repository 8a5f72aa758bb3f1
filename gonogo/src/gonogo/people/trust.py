"""Which recorded statements carry a signature that holds. What the gate is fed with.

Statements were verified when they were given; they are again each time they are used, against today's roster:
whoever left it, or changed the record, does not count any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from gonogo.model.errors import GonogoError
from gonogo.model.people import Attestation, SignOff, Waiver
from gonogo.model.statement import Statement, statement_bytes
from gonogo.people.roster import Roster
from gonogo.people.signing import verify

Given = TypeVar("Given", Attestation, SignOff, Waiver)


@dataclass(frozen=True, slots=True)
class Trusted:
    """Statements whose signatures hold; ``refused`` says of each other one why it does not."""

    attestations: tuple[Attestation, ...]
    sign_offs: tuple[SignOff, ...]
    waivers: tuple[Waiver, ...]
    refused: tuple[tuple[Statement, str], ...]


def trusted(
    attestations: Iterable[Attestation],
    sign_offs: Iterable[SignOff],
    waivers: Iterable[Waiver],
    *,
    roster: Roster,
    release: str,
) -> Trusted:
    """Verify every statement about the release with this id."""
    refused: list[tuple[Statement, str]] = []

    def kept(statements: Iterable[Given]) -> tuple[Given, ...]:
        good: list[Given] = []
        for statement in statements:
            try:
                check_signature(statement, roster=roster, release=release)
            except GonogoError as fault:
                refused.append((statement, fault.message))
            else:
                good.append(statement)
        return tuple(good)

    return Trusted(kept(attestations), kept(sign_offs), kept(waivers), tuple(refused))


def check_signature(statement: Statement, *, roster: Roster, release: str) -> None:
    """Accept a statement as its person's own.

    Raises:
        GonogoError: ``people.unknown-person``, ``people.bad-signature``.
    """
    person = roster.get(signer_of(statement))
    verify(statement.signature, text_to_sign(statement, release=release), person.ssh_keys)


def signer_of(statement: Statement) -> str:
    """Whose statement it is."""
    return statement.owner if isinstance(statement, Waiver) else statement.person


def text_to_sign(statement: Statement, *, release: str) -> bytes:
    """The bytes to sign for a statement.

    Raises:
        GonogoError: ``people.bad-statement`` if a field would not stand on one line.
    """
    try:
        return statement_bytes(statement, release=release)
    except ValueError as cause:
        raise GonogoError(
            "people.bad-statement",
            f"the statement cannot be signed: {cause}",
            hint="write it without control characters",
        ) from cause
