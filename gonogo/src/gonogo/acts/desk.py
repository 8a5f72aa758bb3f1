"""The desk: one repository, one environment, its record. What every act works on.

It holds what ``bootstrap`` wired and resolves names (version, environment) to facts. It decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gonogo.config.detect import look_at, version_without_manifest
from gonogo.config.load import Loaded, read_model
from gonogo.config.schema import Environment, Manifest, ReleaseSource, Service, Settings
from gonogo.config.starter import manifest_text
from gonogo.journal.evidence import EvidenceStore
from gonogo.journal.journal import Journal
from gonogo.model.clock import Clock
from gonogo.model.release import Release
from gonogo.people.roster import Roster
from gonogo.release.fingerprint import fingerprint_of
from gonogo.release.manifest import known_versions, load_manifest, manifest_path, release_id, release_of

UNRELEASED = "unreleased.toml"


@dataclass(frozen=True)
class Desk:
    """What an act works on. ``bootstrap.desk`` makes one and closes its journal."""

    loaded: Loaded
    environment_name: str
    environment: Environment
    journal: Journal
    evidence: EvidenceStore
    clock: Clock

    @property
    def settings(self) -> Settings:
        """All of gonogo.toml, or the defaults."""
        return self.loaded.settings

    @property
    def roster(self) -> Roster:
        """The people of gonogo.toml.

        Raises:
            GonogoError: people.bad-key, people.shared-key.
        """
        return Roster(self.settings.people)

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions that have a manifest, oldest first."""
        return known_versions(self.loaded.repo, self.settings)

    def version_or_newest(self, version: str | None) -> str:
        """``version``, or the newest that has a manifest, or what git calls the work tree."""
        known = self.versions
        return version or (known[-1] if known else version_without_manifest(self.loaded.repo))

    def candidate(self, version: str | None) -> tuple[Release, Manifest]:
        """The release that would be shipped from the work tree now, and its manifest.

        Raises:
            GonogoError: release.unknown-version, release.bad-manifest, git.not-a-repository and the other
                errors of git and of the fingerprint.
        """
        chosen = self.version_or_newest(version)
        path = manifest_path(self.loaded.repo, self.settings, chosen)
        if version is None and not self.versions:
            path, manifest = self._unreleased(chosen)
        else:
            manifest = load_manifest(self.loaded.repo, self.settings, chosen)
        fingerprint = fingerprint_of(self.loaded.repo, self.settings, self.environment_name, path)
        return release_of(self.settings, chosen, self.environment_name, fingerprint), manifest

    def release_id(self, version: str) -> str:
        """The id under which everything about ``version`` stands in the journal."""
        return release_id(self.settings, version)

    def manifest_of(self, version: str) -> Manifest | None:
        """The manifest of another version, if it is still in the repository."""
        known = version in self.versions
        return load_manifest(self.loaded.repo, self.settings, version) if known else None

    def _unreleased(self, version: str) -> tuple[Path, Manifest]:
        """A manifest for a repository that has none, kept in the state folder for the fingerprint."""
        seen = look_at(self.loaded.repo)
        path = self.loaded.state / UNRELEASED
        path.write_text(manifest_text(seen, version), "utf-8")
        return path, read_model(path, Manifest)


def default_settings(repo: Path) -> Loaded:
    """Settings for a repository without gonogo.toml: what can be seen, and nothing that must be told."""
    seen = look_at(repo)
    settings = Settings(
        service=Service(name=seen.name, kind="mcp"),
        release=ReleaseSource(artefact=seen.artefact or (".",), lock=seen.lock or "requirements.lock"),
        environments={"production": Environment(base_url="", admin_url="", profile="full")},
    )
    return Loaded(settings, repo / "gonogo.toml", repo, configured=False)
