"""Writes the first gonogo.toml and the first release manifest: text from what was detected.

It decides nothing about readiness. What it writes is read back through ``gonogo.config.load`` before
it is said to be written, so that it can never write a file that gonogo then refuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from gonogo.config.detect import Repository
from gonogo.config.load import FILE_NAME, Loaded, load, read_model
from gonogo.config.schema import Manifest, Thresholds
from gonogo.model.errors import GonogoError
from gonogo.model.requirement import Requirement

PROFILE = "first"


def write_starter(
    repo: Path, seen: Repository, checks: Sequence[Requirement], *, force: bool
) -> tuple[Loaded, tuple[Path, ...]]:
    """Write gonogo.toml and a manifest for ``seen.version``; a manifest that exists is kept.

    Args:
        checks: what the first profile gates on: requirements that have a check and need no person.
        force: replace a gonogo.toml that is there.

    Raises:
        GonogoError: config.exists when there is a gonogo.toml and ``force`` is False.
    """
    target = repo / FILE_NAME
    if target.exists() and not force:
        raise GonogoError(
            "config.exists",
            f"{target} exists already",
            hint="gonogo init --force replaces it; the old one is kept in git",
        )
    manifest = repo / "releases" / f"{seen.version}.toml"
    written = [target]
    _write(target, configuration_text(seen, checks))
    if not seen.versions:
        manifest.parent.mkdir(exist_ok=True)
        _write(manifest, manifest_text(seen, seen.version))
        written.append(manifest)
    for path in written[1:]:
        read_model(path, Manifest)
    return load(repo), tuple(written)


def configuration_text(seen: Repository, checks: Sequence[Requirement]) -> str:
    """A commented gonogo.toml."""
    return "\n".join(
        (
            "# What gonogo knows about this service. Every key: docs/reference/gonogo-toml.md",
            "# See where the release stands: gonogo check",
            "",
            *_service_part(seen),
            *_commands_part(seen),
            *_environment_part(seen),
            *_profile_part(checks),
            *_people_part(seen),
        )
    )


def manifest_text(seen: Repository, version: str) -> str:
    """A commented release manifest for ``version``."""
    note = (
        f"# Found in {seen.target_file}." if seen.target else "# No MCP server object was found: name yours."
    )
    return "\n".join(
        (
            f"# Release {version}: what runs, and with which settings. One file for each version.",
            f"version = {_quoted(version)}",
            "",
            "[guest]",
            note,
            f"target = {_quoted(seen.target or 'server.py:server')}",
            'python = ""          # empty: the interpreter that runs erlmcp',
            "",
            "# Environment variables of the guest; never secrets.",
            "[guest.env]",
            "",
            "# erlmcp settings of this release, by dotted name. The limit counts for each client address.",
            "[guest.config]",
            '"log.level" = "info"',
            '"limits.requests_per_s" = 50',
            '"limits.burst" = 200',
            "",
        )
    )


def _service_part(seen: Repository) -> Iterable[str]:
    lock_note = "" if seen.lock else "  # no lock file was found: commit one with hashes"
    yield "[service]"
    yield f"name = {_quoted(seen.name)}"
    yield 'kind = "mcp"'
    yield ""
    yield "[release]"
    yield 'manifest = "releases/{version}.toml"'
    yield "# Tracked paths whose content is the artefact: change a byte and signatures are void."
    yield f"artefact = {_listed(seen.artefact or ('.',))}"
    yield f"lock = {_quoted(seen.lock or 'requirements.lock')}{lock_note}"
    yield f"tests_cover = {_listed(seen.packages)}"
    yield ""


def _commands_part(seen: Repository) -> Iterable[str]:
    erlmcp = seen.python.replace("/bin/python", "/bin/erlmcp") if "/" in seen.python else "erlmcp"
    yield "# Argument lists, run without a shell in this folder."
    yield "[commands]"
    if seen.unit_tests:
        yield f"unit_tests = {_listed(seen.unit_tests)}"
        if not any("{coverage}" in part for part in seen.unit_tests):
            yield "# Coverage is not measured yet: install pytest-cov and add"
            yield '#   "--cov=PACKAGE", "--cov-report=json:{coverage}"'
    else:
        yield "# No tests were found. With pytest and pytest-cov:"
        yield '# unit_tests = ["python3", "-m", "pytest", "--junitxml={junit}"]'
    yield "# A scratch copy of the service, on which risky checks are tried instead of production."
    scratch = (
        erlmcp,
        "serve",
        "{target}",
        "--http",
        "{http}",
        "--admin",
        "{admin}",
        "--control",
        "{control}",
    )
    yield f"scratch = {_listed(scratch)}"
    yield ""


def _environment_part(seen: Repository) -> Iterable[str]:
    limits = Thresholds()
    target = seen.target or "server.py:server"
    yield "# Where it runs. Started by:"
    yield f"#   erlmcp serve {target} --http 127.0.0.1:8080 --admin 127.0.0.1:9464 \\"
    yield f"#     --control run/control.sock --version-label {seen.version}"
    yield "[environments.production]"
    yield 'base_url = "http://127.0.0.1:8080"'
    yield 'admin_url = "http://127.0.0.1:9464"'
    yield 'control = "run/control.sock"'
    yield f'profile = "{PROFILE}"'
    yield ""
    yield "[environments.production.thresholds]"
    yield f"watch_s = {limits.watch_s:g}           # how long a new version is watched after the switch"
    yield f"error_ratio = {limits.error_ratio:g}      # a release must prove that it stays below this"
    yield f"coverage_floor = {limits.coverage_floor:g}"
    yield ""


def _profile_part(checks: Sequence[Requirement]) -> Iterable[str]:
    yield "# What the gate demands. All other requirements are still shown, as outside the profile."
    yield '# Widen this until it says "full": then all 366 count.'
    yield f"[profiles.{PROFILE}]"
    yield 'reason = "first profile, written by gonogo init: what a machine can measure without people"'
    yield "checks = ["
    for requirement in checks:
        yield f"  {_quoted(requirement.id)},  # {requirement.title}"
    yield '  # "journeys.*": add it once [journeys] says what a user does with the service'
    yield "]"
    yield ""


def _people_part(seen: Repository) -> Iterable[str]:
    name = seen.person or "Ada Example"
    person = "".join(c for c in name.split()[0].lower() if c.isascii() and c.isalnum()) or "ada"
    yield "# People attest and sign with the SSH key they already have. Roles: tech-lead, security,"
    yield "# operations-manager, product-manager, build-lead, operations-lead, security-officer,"
    yield "# release-manager, primary, backup."
    yield f"# [people.{person}]"
    yield f"# name = {_quoted(name)}"
    yield f'# email = "{person}@example.com"'
    yield '# phone = "+44 20 7946 0000"'
    yield '# roles = ["release-manager"]'
    yield '# ssh_keys = ["ssh-ed25519 AAAA..."]   # the .pub file'
    yield ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _listed(items: Iterable[str]) -> str:
    return "[" + ", ".join(_quoted(item) for item in items) + "]"


def _write(path: Path, text: str) -> None:
    """Write whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)
