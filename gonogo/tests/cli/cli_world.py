"""A real repository with a roster and keys, and what a command line said."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CONFIGURATION = """\
[service]
name = "notes"

[release]
artefact = ["src"]

[environments.production]
base_url = "http://127.0.0.1:{port}"
admin_url = "http://127.0.0.1:{port}"
control = "run/control.sock"
profile = "small"

[profiles.small]
reason = "what a test can show"
checks = {checks}

[people.ada]
name = "Ada Example"
email = "ada@example.com"
phone = "+44 20 7946 0000"
roles = ["tech-lead", "primary"]
ssh_keys = ["{key}"]
"""
SMALL = '["build.no-hardcoded-secrets", "runbooks.reviewed", "approval.tech-lead"]'


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Repo:
    """A repository with gonogo.toml; ``key`` is Ada's, ``other_key`` is nobody's."""

    path: Path
    key: Path
    other_key: Path

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text, "utf-8")

    def commit(self) -> None:
        git(self.path, "add", "-A")
        git(self.path, "commit", "-qm", "change", "--allow-empty")

    @property
    def state(self) -> Path:
        return self.path / ".gonogo"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.com")
    subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, timeout=20
    )


def new_key(path: Path) -> str:
    private = Ed25519PrivateKey.generate()
    encoding, openssh = serialization.Encoding, serialization.PrivateFormat.OpenSSH
    path.write_bytes(private.private_bytes(encoding.PEM, openssh, serialization.NoEncryption()))
    path.chmod(0o600)
    public = private.public_key()
    return public.public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
