"""What people say and sign: attestations, sign-offs, waivers and decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """Roles that the checklist names."""

    TECH_LEAD = "tech-lead"
    SECURITY = "security"
    OPERATIONS_MANAGER = "operations-manager"
    PRODUCT_MANAGER = "product-manager"
    BUILD_LEAD = "build-lead"
    OPERATIONS_LEAD = "operations-lead"
    SECURITY_OFFICER = "security-officer"
    RELEASE_MANAGER = "release-manager"
    PRIMARY = "primary"
    BACKUP = "backup"
    SERVICE_OWNER = "service-owner"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on the roster. ``ssh_keys`` are public keys in the authorized_keys form."""

    id: str
    name: str
    email: str
    phone: str
    roles: frozenset[Role]
    ssh_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attestation:
    """A person's signed statement that answers an assisted requirement.

    Attributes:
        fingerprint: digest of the release fingerprint it holds for.
        signature: SSHSIG armour over the text of ``gonogo.model.statement``.
        shown_digest: SHA-256 of what the person was shown, or ``""`` if nothing was.
    """

    check_id: str
    person: str
    statement: str
    fingerprint: str
    at: datetime
    valid_until: datetime
    signature: str
    shown_digest: str = ""


@dataclass(frozen=True, slots=True)
class SignOff:
    """A role's approval of one fingerprint and of the digest of what was shown.

    Attributes:
        signature: SSHSIG armour over the text of ``gonogo.model.statement``.
        valid_until: after this it counts as not given; None means the default validity of sign-offs.
    """

    check_id: str
    role: Role
    person: str
    fingerprint: str
    shown_digest: str
    at: datetime
    signature: str
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waiver:
    """An accepted failure. Never shown as a pass; ends by itself.

    Attributes:
        signature: SSHSIG armour by the owner over the text of ``gonogo.model.statement``.
    """

    check_id: str
    owner: str
    reason: str
    starts_at: datetime
    ends_at: datetime
    signature: str = ""
