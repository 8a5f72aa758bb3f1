"""A real git repository of a small service, and its settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gonogo.config.schema import Environment, ReleaseSource, Service, Settings

MANIFEST = 'version = "{version}"\n\n[guest]\ntarget = "notes.server:server"\n'


class Repository:
    """A work tree and the git commands that tests need."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def git(self, *arguments: str) -> str:
        environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *who, *arguments],
            cwd=self.path,
            env=environment,
            capture_output=True,
            check=True,
            timeout=30,
        )
        return done.stdout.decode().strip()

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def commit(self, message: str = "change") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path) -> Repository:
    repository = Repository(tmp_path / "repo")
    repository.path.mkdir()
    repository.git("init", "-q", "-b", "main")
    repository.write("src/notes/server.py", "server = 1\n")
    repository.write("docs/readme.md", "# notes\n")
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        repository.write(f"releases/{version}.toml", MANIFEST.format(version=version))
    repository.commit("first")
    return repository


@pytest.fixture
def settings() -> Settings:
    return Settings(
        service=Service(name="notes"),
        release=ReleaseSource(artefact=("src",)),
        environments={
            "production": Environment(base_url="http://127.0.0.1:8080", admin_url="http://127.0.0.1:9464")
        },
    )
