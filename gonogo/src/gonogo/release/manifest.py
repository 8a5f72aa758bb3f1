"""Release manifests: which versions there are and what one declares.

A version's manifest is a file at the path that ``[release] manifest`` names. Nothing here knows what runs.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path

from pydantic import ValidationError

from gonogo.config.schema import Manifest, Settings
from gonogo.model.errors import GonogoError
from gonogo.model.release import Fingerprint, Release

MANIFEST_LIMIT_BYTES = 256 * 1024
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
_PLACE = "{version}"


def manifest_path(repo: Path, settings: Settings, version: str) -> Path:
    """Where the manifest of ``version`` stands, or would stand.

    Raises:
        GonogoError: ``release.bad-version`` if this can be no version, ``release.bad-manifest-path`` if the
            setting names no place for the version or one outside the repository.
    """
    if not _VERSION.fullmatch(version) or ".." in version:
        raise GonogoError(
            "release.bad-version",
            f"this is no version, got {version[:80]!r}; expected letters, digits and . + _ - such as 1.4.0",
            hint="name the version as its manifest does",
        )
    pattern = settings.release.manifest
    path = repo / pattern.replace(_PLACE, version)
    if _PLACE not in pattern or not path.resolve().is_relative_to(repo.resolve()):
        raise GonogoError(
            "release.bad-manifest-path",
            f"the manifest's place is not usable, got {pattern!r}; expected a path in the repository "
            f"with {_PLACE} in it",
            hint='set manifest = "releases/{version}.toml" under [release] in gonogo.toml',
        )
    return path


def known_versions(repo: Path, settings: Settings) -> tuple[str, ...]:
    """Versions that have a manifest, in the order of their numbers."""
    head, found, tail = settings.release.manifest.partition(_PLACE)
    if not found:
        return ()
    pattern = re.compile(re.escape(head) + f"({_VERSION.pattern})" + re.escape(tail))
    files = (path.relative_to(repo).as_posix() for path in repo.glob(f"{head}*{tail}"))
    versions = [match[1] for file in files if (match := pattern.fullmatch(file))]
    return tuple(sorted(versions, key=_by_number))


def load_manifest(repo: Path, settings: Settings, version: str) -> Manifest:
    """The manifest of ``version``.

    Raises:
        GonogoError: ``release.unknown-version`` naming the known ones, ``release.bad-manifest``, and those of
            ``manifest_path``.
    """
    path = manifest_path(repo, settings, version)
    if not path.is_file():
        raise _unknown(repo, settings, version)
    try:
        text = path.read_bytes()[:MANIFEST_LIMIT_BYTES].decode()
        manifest = Manifest.model_validate(tomllib.loads(text))
    except ValidationError as cause:
        first = cause.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise _bad(path, f"{place}: {first['msg'].lower()}") from cause
    except (OSError, ValueError) as cause:
        raise _bad(path, str(cause)) from cause
    if manifest.version != version:
        raise _bad(path, f"version is {manifest.version!r}; expected {version!r}, as the file's name says")
    return manifest


def release_of(settings: Settings, version: str, environment_name: str, fingerprint: Fingerprint) -> Release:
    """The release of ``version`` into an environment."""
    return Release(
        id=release_id(settings, version),
        service=settings.service.name,
        version=version,
        environment=environment_name,
        fingerprint=fingerprint,
    )


def release_id(settings: Settings, version: str) -> str:
    """The id under which everything about ``version`` is recorded."""
    return f"rel-{settings.service.name}-{version}"


def _unknown(repo: Path, settings: Settings, version: str) -> GonogoError:
    known = known_versions(repo, settings)
    near = difflib.get_close_matches(version, known, n=1)
    place = settings.release.manifest.replace(_PLACE, version)
    return GonogoError(
        "release.unknown-version",
        f"there is no such version, got {version!r}; expected one of: {', '.join(known) or 'none yet'}",
        hint=f"did you mean {near[0]}?" if near else f"declare it in {place}",
    )


def _bad(path: Path, what: str) -> GonogoError:
    return GonogoError(
        "release.bad-manifest",
        f"the manifest is not valid, got {path.name}: {what}",
        hint="a manifest has version = and a [guest] with target = ; see docs/concepts/release.md",
    )


def _by_number(version: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|[^\d.]+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
