"""Fixtures: a repository, and the program called in this process or as a child."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gonogo.cli.main import main

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from cli_world import CONFIGURATION, SMALL, Done, Repo, closed_port, git, new_key


@pytest.fixture
def bare(tmp_path):
    """A git repository without gonogo.toml."""
    folder = tmp_path / "bare"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "src" / "app").mkdir(parents=True)
    (folder / "src" / "app" / "__init__.py").write_text("")
    (folder / "src" / "app" / "server.py").write_text("from fastmcp import FastMCP\n\nmcp = FastMCP('app')\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    return folder


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q")
    made = Repo(folder, tmp_path / "ada", tmp_path / "other")
    line = new_key(made.key)
    new_key(made.other_key)
    made.write("src/app.py", "ANSWER = 42\n")
    made.write("releases/1.0.0.toml", 'version = "1.0.0"\n[guest]\ntarget = "app:server"\n')
    made.write("releases/1.1.0.toml", 'version = "1.1.0"\n[guest]\ntarget = "app:server"\n')
    made.write("gonogo.toml", CONFIGURATION.format(port=closed_port(), checks=SMALL, key=line))
    made.commit()
    return made


@pytest.fixture
def call(capsys):
    """Run one command line in this process."""

    def run(*arguments: str | Path) -> Done:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture
def spawn():
    """Run one command line as a process of its own."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None, timeout_s: float = 60) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "gonogo.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, **(env or {})},
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run
