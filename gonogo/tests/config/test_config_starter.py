"""gonogo init's parts: what is seen in a repository, and that what is written can be read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gonogo.config.detect import look_at, version_without_manifest
from gonogo.config.load import load
from gonogo.config.starter import write_starter
from gonogo.model.errors import GonogoError
from gonogo.model.requirement import Kind, Requirement, Severity
from gonogo.release.manifest import known_versions, load_manifest

CHECK = Requirement(
    number=4,
    box="1.1/04",
    id="build.no-hardcoded-secrets",
    title='No "secrets"',
    kind=Kind.STATIC,
    method="m",
    evidence="e",
    pass_when="p",
    severity=Severity.BLOCKER,
    applies_when="always",
)


def put(repo: Path, path: str, text: str) -> None:
    (repo / path).parent.mkdir(parents=True, exist_ok=True)
    (repo / path).write_text(text, "utf-8")


def git(repo: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-C", str(repo), "-c", "user.name=T", "-c", "user.email=t@example.com", *arguments],
        check=True,
        capture_output=True,
        timeout=20,
    )


@pytest.fixture
def repo(tmp_path):
    git(tmp_path, "init", "-q")
    put(tmp_path, "pyproject.toml", '[project]\nname = "My.Notes"\nversion = "2.1.0"\n# pytest-cov\n')
    put(tmp_path, "src/mynotes/__init__.py", "")
    put(tmp_path, "src/mynotes/server.py", 'from fastmcp import FastMCP as F\n\nmcp: F = F("notes")\n')
    put(tmp_path, "tests/test_it.py", 'from fastmcp import FastMCP\nfake = FastMCP("no")\n')
    put(tmp_path, "requirements.lock", "")
    return tmp_path


def test_it_sees_the_server_the_tests_and_the_lock(repo):
    seen = look_at(repo)
    assert seen.name == "my-notes"
    assert seen.version == "2.1.0"
    assert seen.target == "mynotes.server:mcp"
    assert seen.artefact == ("src",)
    assert seen.packages == ("mynotes",)
    assert seen.lock == "requirements.lock"
    assert "--cov=mynotes" in seen.unit_tests
    assert "--junitxml={junit}" in seen.unit_tests


@pytest.mark.parametrize(
    ("path", "text", "target"),
    [
        ("server.py", "from mcp.server import MCPServer\nserver = MCPServer('a')\n", "server.py:server"),
        ("app/main.py", "import fastmcp\nx = fastmcp.FastMCP('a')\n", "app/main.py:x"),
        ("pkg/__init__.py", "from mcp.server import Server\ns = Server('a')\n", "pkg:s"),
        ("server.py", "from other import Server\ns = Server('a')\n", ""),
        ("server.py", "from fastmcp import FastMCP\ndef f():\n    s = FastMCP('a')\n", ""),
        ("server.py", "this is not python", ""),
    ],
)
def test_a_server_object_is_found_by_syntax_and_nothing_else_is(tmp_path, path, text, target):
    put(tmp_path, path, text)
    assert look_at(tmp_path).target == target


def test_looking_runs_nothing_of_the_repository(tmp_path):
    put(
        tmp_path,
        "server.py",
        f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom fastmcp import FastMCP\ns = FastMCP('a')\n",
    )
    assert look_at(tmp_path).target == "server.py:s"
    assert not (tmp_path / "ran").exists()


def test_an_empty_folder_gives_names_that_are_valid(tmp_path):
    folder = tmp_path / "123 Über"
    folder.mkdir()
    loaded, _ = write_starter(folder, look_at(folder), [CHECK], force=False)
    assert loaded.settings.service.name == "service-123-ber"
    assert version_without_manifest(folder) == "0"


def test_what_is_written_is_read_back_with_its_profile_and_manifest(repo):
    _, written = write_starter(repo, look_at(repo), [CHECK], force=False)
    assert [path.name for path in written] == ["gonogo.toml", "2.1.0.toml"]
    loaded = load(repo)
    assert loaded.settings.profiles["first"].checks == ("build.no-hardcoded-secrets",)
    assert load_manifest(repo, loaded.settings, "2.1.0").guest.target == "mynotes.server:mcp"
    assert not list(repo.rglob("*.partial"))


def test_manifests_that_are_there_are_kept(repo):
    put(repo, "releases/2.0.0.toml", 'version = "2.0.0"\n[guest]\ntarget = "own:one"\n')
    loaded, written = write_starter(repo, look_at(repo), [CHECK], force=False)
    assert [path.name for path in written] == ["gonogo.toml"]
    assert known_versions(repo, loaded.settings) == ("2.0.0",)
    assert load_manifest(repo, loaded.settings, "2.0.0").guest.target == "own:one"


def test_a_file_that_is_there_is_not_replaced_unless_forced(repo):
    put(repo, "gonogo.toml", "# mine")
    with pytest.raises(GonogoError) as caught:
        write_starter(repo, look_at(repo), [CHECK], force=False)
    assert caught.value.error_id == "config.exists"
    assert (repo / "gonogo.toml").read_text() == "# mine"
    write_starter(repo, look_at(repo), [CHECK], force=True)
    assert load(repo).settings.service.name == "my-notes"


def test_the_nearest_tag_names_a_work_tree_without_manifests(repo):
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "one")
    git(repo, "tag", "v3.4.5")
    assert version_without_manifest(repo) == "3.4.5"
