"""Three people with keys that ``ssh-keygen`` made, a release, and the program itself where it can be had."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gonogo.config.schema import PersonConfig
from gonogo.journal.journal import Journal
from gonogo.model.people import Role
from gonogo.model.release import Fingerprint, Release
from gonogo.people.roster import Roster
from gonogo.people.signing import sign

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def ssh_keygen() -> str:
    found = shutil.which("ssh-keygen")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("ssh-keygen is missing; install openssh-client")
        pytest.skip("ssh-keygen is missing; install openssh-client")
    return found


@pytest.fixture(scope="session")
def make_key(tmp_path_factory, ssh_keygen) -> Callable[..., Path]:
    """Makes a private key file; its public key stands beside it."""

    def make(name: str, *options: str, passphrase: str = "") -> Path:
        path = tmp_path_factory.mktemp("keys") / name
        command = [ssh_keygen, "-q", "-N", passphrase, "-C", f"{name}@example.com", "-f", str(path), *options]
        subprocess.run(command, check=True, timeout=60)
        return path

    return make


@pytest.fixture(scope="session")
def keys(make_key) -> dict[str, Path]:
    return {name: make_key(name, "-t", "ed25519") for name in ("ada", "bob", "cyd")}


@pytest.fixture
def roster(keys) -> Roster:
    roles = {
        "ada": (Role.BUILD_LEAD, Role.TECH_LEAD, Role.RELEASE_MANAGER),
        "bob": (Role.OPERATIONS_LEAD,),
        "cyd": (Role.SECURITY_OFFICER,),
    }
    return Roster({name: person_config(name, keys[name], roles[name]) for name in roles})


def person_config(name: str, key: Path, roles: tuple[Role, ...]) -> PersonConfig:
    return PersonConfig(
        name=name.title(),
        email=f"{name}@example.com",
        phone="+44 20 7946 0000",
        roles=roles,
        ssh_keys=(key.with_suffix(".pub").read_text().strip(),),
    )


@pytest.fixture
def release() -> Release:
    return Release(
        "rel-notes-1.1.0", "notes", "1.1.0", "production", Fingerprint("c" * 40, "a" * 64, "b" * 64, "d" * 64)
    )


@pytest.fixture
def journal(tmp_path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "state", clock=lambda: NOW, service="notes") as opened:
        yield opened


@pytest.fixture
def signer_of(keys):
    return lambda name: lambda text: sign(keys[name], text)
