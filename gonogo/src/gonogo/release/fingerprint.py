"""The fingerprint: what exactly is released, in four digests.

It reads the repository and the configuration, and decides nothing. Untracked files count as changes only
where they could run: under the artefact's paths. So a report written beside the sources changes no
fingerprint.
"""

from __future__ import annotations

import os
import tomllib
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from gonogo.adapters.git import Git
from gonogo.checklist.profile import gate_profile
from gonogo.config.schema import Environment, Settings
from gonogo.journal.canonical import canonical_json
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import digest_of
from gonogo.model.release import Fingerprint


def fingerprint_of(repo: Path, settings: Settings, environment_name: str, manifest_path: Path) -> Fingerprint:
    """The fingerprint of what ``repo`` would release to an environment by a manifest.

    Raises:
        GonogoError: ``release.unknown-environment``, ``release.empty-artefact`` if no tracked file is under
            the artefact's paths, ``release.unreadable-file``, ``release.bad-manifest``,
            ``checklist.unknown-profile``, and ``Git``'s.
    """
    environment = environment_of(settings, environment_name)
    git = Git(repo)
    return Fingerprint(
        commit=_commit(git, settings),
        artefact=_artefact_digest(git, settings),
        config=_config_digest(manifest_path, environment),
        plan=_plan_digest(settings, environment),
    )


def environment_of(settings: Settings, name: str) -> Environment:
    """The environment called ``name``.

    Raises:
        GonogoError: ``release.unknown-environment`` naming the known ones.
    """
    found = settings.environments.get(name)
    if found is None:
        known = ", ".join(sorted(settings.environments)) or "none"
        raise GonogoError(
            "release.unknown-environment",
            f"there is no such environment, got {name!r}; expected one of: {known}",
            hint=f"add [environments.{name}] to gonogo.toml, or name another one with --env",
        )
    return found


def _commit(git: Git, settings: Settings) -> str:
    commit = git.head_commit()
    changes = git.changes(untracked_under=settings.release.artefact)
    if not changes:
        return commit
    root = git.root()
    lines = [f"{change.status} {change.path} {_content_digest(root / change.path)}" for change in changes]
    return f"{commit}+dirty.{_digest_of_lines(lines)[:12]}"


def _artefact_digest(git: Git, settings: Settings) -> str:
    files = git.tracked(*settings.release.artefact)
    if not files:
        raise GonogoError(
            "release.empty-artefact",
            f"no tracked file is under the artefact's paths, got {list(settings.release.artefact)}",
            hint="set artefact under [release] in gonogo.toml to the paths that run, and commit them",
        )
    lines = []
    for file in files:
        is_submodule = file.mode == "160000"
        content = file.blob if is_submodule else _content_digest(git.repo / file.path)
        lines.append(f"{file.mode} {content} {file.path}")
    return _digest_of_lines(lines)


def _config_digest(manifest_path: Path, environment: Environment) -> str:
    try:
        manifest = tomllib.loads(manifest_path.read_text("utf-8"))
    except (OSError, ValueError) as cause:
        raise GonogoError(
            "release.bad-manifest", f"the manifest cannot be read, got {manifest_path}: {cause}"
        ) from cause
    declared = environment.model_dump(mode="json", exclude={"thresholds", "platform", "profile"})
    return _digest_of_json({"manifest": _plain(manifest), "environment": declared})


def _plan_digest(settings: Settings, environment: Environment) -> str:
    profile = gate_profile(environment.profile, settings.profiles)
    return _digest_of_json(
        {
            "platform": environment.platform,
            "thresholds": environment.thresholds.model_dump(mode="json"),
            "profile": {"name": profile.name, "checks": sorted(profile.checks)},
            "not_applicable": {
                group: left_out.model_dump(mode="json") for group, left_out in settings.not_applicable.items()
            },
        }
    )


def _content_digest(path: Path) -> str:
    """SHA-256 of what stands at ``path`` now: a file's bytes or a link's target."""
    if path.is_symlink():
        return f"link:{digest_of(os.fsencode(path.readlink()))}"
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return "absent"
    except OSError as fault:
        raise GonogoError(
            "release.unreadable-file",
            f"{path} cannot be read, got {fault.strerror}; expected every file of the release to be readable",
            hint=f"let the user who releases read it: chmod u+r {path}",
        ) from fault


def _digest_of_lines(lines: list[str]) -> str:
    digest = sha256()
    for line in lines:
        digest.update(os.fsencode(line) + b"\0")
    return digest.hexdigest()


def _digest_of_json(value: object) -> str:
    return digest_of(canonical_json(value).encode())


def _plain(value: Any) -> Any:
    """TOML's dates as text; the rest as it is."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else value.isoformat()
