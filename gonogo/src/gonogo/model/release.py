"""A release and the fingerprint to which its findings and signatures are bound."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What exactly is released. Change any part and every finding and signature for it is stale.

    Attributes:
        commit: full id of the git commit; ``<id>+dirty.<digest>`` if the work tree has changes.
        artefact: digest of what runs (the guest's files as committed).
        config: digest of the release's configuration.
        plan: digest of the deployment plan (platform, steps, thresholds, profile).
    """

    commit: str
    artefact: str
    config: str
    plan: str

    @property
    def digest(self) -> str:
        """SHA-256 over the four parts, each on its own line."""
        return sha256(f"{self.commit}\n{self.artefact}\n{self.config}\n{self.plan}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Release:
    """A versioned candidate for one environment.

    Attributes:
        id: ``rel-<service>-<version>``; one record over all its deployments.
    """

    id: str
    service: str
    version: str
    environment: str
    fingerprint: Fingerprint
