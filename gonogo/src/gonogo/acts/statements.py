"""``attest``, ``sign`` and ``waive``: a person's signed word, bound to what they were shown.

Who may, what is signed and whether the signature holds is ``gonogo.people``; here the key is used and the
shown board is kept as evidence.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gonogo.acts.desk import Desk
from gonogo.acts.judging import ACTOR, current_board
from gonogo.checklist.profile import gate_profile
from gonogo.model.codec import to_json
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading
from gonogo.model.people import Attestation, SignOff, Waiver
from gonogo.model.release import Release
from gonogo.model.statement import NAMESPACE
from gonogo.people import statements
from gonogo.people.signing import sign as sign_with_file
from gonogo.report.board import Board, document_of

KEYGEN_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person is shown before signing, and the digest under which it is kept."""

    board: Board
    digest: str


def show(desk: Desk, release: Release) -> Shown:
    """The board as it stands now, kept as evidence."""
    board = current_board(desk, release)
    body = json.dumps(document_of(board), ensure_ascii=False, sort_keys=True).encode()
    source = f"the board of {board.name} as it was shown"
    stored = desk.evidence.put(Reading(source, "application/json", body), read_at=board.checked_at)
    desk.journal.append(EntryKind.EVIDENCE, to_json(stored), actor=ACTOR, release=release.id)
    return Shown(board, stored.digest)


def attest(
    desk: Desk, release: Release, *, check_id: str, person: str, statement: str, key: Path
) -> Attestation:
    """Record a signed statement.

    Raises:
        GonogoError: those of ``gonogo.people.statements.attest``.
    """
    return statements.attest(
        desk.journal,
        desk.roster,
        check_id=check_id,
        release=release,
        person=person,
        statement=statement,
        signer=lambda text: signature_by(key, text),
        clock=desk.clock,
    )


def sign(
    desk: Desk, release: Release, shown: Shown, *, role_or_check: str, person: str, key: Path
) -> SignOff:
    """Record a role's signature under what was shown.

    Raises:
        GonogoError: those of ``gonogo.people.statements.sign_off``.
    """
    return statements.sign_off(
        desk.journal,
        desk.roster,
        check_id=statements.requirement_to_sign(role_or_check),
        release=release,
        person=person,
        shown_digest=shown.digest,
        signer=lambda text: signature_by(key, text),
        clock=desk.clock,
        demanded=gate_profile(desk.environment.profile, desk.settings.profiles).checks,
    )


def waive(
    desk: Desk, release: Release, *, check_id: str, person: str, reason: str, ends_at: datetime, key: Path
) -> Waiver:
    """Record a signed waiver that ends by itself.

    Raises:
        GonogoError: those of ``gonogo.people.statements.waive``.
    """
    return statements.waive(
        desk.journal,
        desk.roster,
        check_id=check_id,
        release=release,
        owner=person,
        reason=reason,
        ends_at=ends_at,
        signer=lambda text: signature_by(key, text),
        clock=desk.clock,
    )


def signature_by(key: Path, text: bytes) -> str:
    """The signature of ``text``; ssh-keygen makes it where the key is in an agent or has a passphrase.

    Raises:
        GonogoError: people.key-unreadable, people.key-encrypted, people.keygen-failed.
    """
    if key.suffix == ".pub":  # the private half is in an agent or on a hardware key
        return _by_keygen(key, text)
    try:
        return sign_with_file(key, text)
    except GonogoError as error:
        if error.error_id != "people.key-encrypted":
            raise
        return _by_keygen(key, text)


def _by_keygen(key: Path, text: bytes) -> str:
    """ssh-keygen asks for a passphrase on the terminal itself; gonogo never sees it."""
    command = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)]
    try:
        done = subprocess.run(command, input=text, capture_output=True, timeout=KEYGEN_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise _keygen_failed(key, str(cause)) from cause
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _keygen_failed(key, said[-1] if said else f"exit {done.returncode}")
    return done.stdout.decode("ascii")


def _keygen_failed(key: Path, what: str) -> GonogoError:
    return GonogoError(
        "people.keygen-failed",
        f"ssh-keygen did not sign with {key}: {what}",
        hint="load the key into your agent with ssh-add and pass its .pub file, or run this in a terminal",
    )
