"""The exact text that a person signs, computed from the fact that is recorded. Pure.

The text binds everything: what is stated, for which requirement, release and fingerprint, on the ground of
what was shown, by whom, when and until when. It is never stored: it is computed again to verify, so a changed
record cannot keep a good signature.
"""

from __future__ import annotations

import json
from datetime import datetime

from gonogo.model.clock import time_text
from gonogo.model.people import Attestation, SignOff, Waiver

NAMESPACE = "gonogo"

CONFIRMATIONS = (
    "the checks before the start are complete",
    "the release is ready for production",
    "the team is prepared",
    "the rollback is tested",
    "the emergency contacts are available",
)
"""What the final sign-off (``signoff.*``) states."""

Statement = Attestation | SignOff | Waiver


def statement_bytes(statement: Statement, *, release: str) -> bytes:
    """The bytes that are signed for ``statement`` about the release with this id.

    Raises:
        ValueError: a field that must stand on one line does not.
    """
    match statement:
        case Attestation():
            lines = _attestation_lines(statement, release)
        case SignOff():
            lines = _sign_off_lines(statement, release)
        case Waiver():
            lines = _waiver_lines(statement, release)
    if not all(line.isprintable() for line in lines):
        raise ValueError("a signed text holds printable characters only, one fact on a line")
    return "".join(f"{line}\n" for line in lines).encode()


def _attestation_lines(given: Attestation, release: str) -> list[str]:
    return [
        "gonogo attestation, version 1",
        f"requirement: {given.check_id}",
        *_binding(release, given.fingerprint, given.shown_digest),
        *_signing(given.person, given.at, given.valid_until),
        f"statement: {json.dumps(given.statement)}",
    ]


def _sign_off_lines(given: SignOff, release: str) -> list[str]:
    final = given.check_id.startswith("signoff.")
    return [
        "gonogo sign-off, version 1",
        f"requirement: {given.check_id}",
        f"role: {given.role}",
        *_binding(release, given.fingerprint, given.shown_digest),
        *_signing(given.person, given.at, given.valid_until),
        "statement: I approve this release on the ground of what I was shown.",
        *(f"I confirm: {confirmation}." for confirmation in CONFIRMATIONS if final),
    ]


def _waiver_lines(given: Waiver, release: str) -> list[str]:
    return [
        "gonogo waiver, version 1",
        f"requirement: {given.check_id}",
        f"release: {release}",
        *_signing(given.owner, given.starts_at, given.ends_at),
        f"statement: I accept this failure. Reason: {json.dumps(given.reason)}",
    ]


def _binding(release: str, fingerprint: str, shown_digest: str) -> list[str]:
    return [
        f"release: {release}",
        f"fingerprint: {fingerprint}",
        f"shown: {shown_digest or 'nothing'}",
    ]


def _signing(person: str, at: datetime, end: datetime | None) -> list[str]:
    return [
        f"person: {person}",
        f"from: {time_text(at)}",
        f"until: {time_text(end) if end else 'the default validity'}",
    ]
