"""Git is asked without a shell, and what goes wrong has a name."""

from __future__ import annotations

import os

import pytest

from gonogo.adapters import git as adapter
from gonogo.adapters.git import Git, TrackedFile
from gonogo.model.errors import GonogoError


def _refused(act, *arguments) -> GonogoError:
    with pytest.raises(GonogoError) as refused:
        act(*arguments)
    return refused.value


def test_the_commit_and_the_root_are_found_from_a_folder_below(repository):
    git = Git(repository.path / "src" / "notes")
    assert git.head_commit() == repository.git("rev-parse", "HEAD")
    assert git.root() == repository.path


def test_tracked_files_are_listed_by_literal_paths(repository):
    repository.write("src/notes/odd [name] \N{SNOWMAN}.py", "x\n")
    repository.write("src/untracked.py", "x\n")
    repository.git("add", "src/notes")
    files = Git(repository.path).tracked("src")
    assert [file.path for file in files] == ["src/notes/odd [name] \N{SNOWMAN}.py", "src/notes/server.py"]
    blob = repository.git("rev-parse", "HEAD:src/notes/server.py")
    assert files[1] == TrackedFile("100644", blob, "src/notes/server.py")
    assert Git(repository.path).tracked("src/*") == (), "a star is a star"


def test_a_path_that_looks_like_an_option_is_a_path(repository):
    assert Git(repository.path).tracked("--exec=touch /tmp/evil") == ()


def test_changes_are_those_of_tracked_files_and_of_untracked_ones_where_asked(repository):
    git = Git(repository.path)
    assert git.changes(untracked_under=("src",)) == ()
    repository.write("docs/readme.md", "changed\n")
    repository.write("src/new.py", "x\n")
    repository.write("report.html", "x\n")
    (repository.path / "releases/1.2.0.toml").unlink()
    assert [(change.status, change.path) for change in git.changes(untracked_under=("src",))] == [
        (" M", "docs/readme.md"),
        (" D", "releases/1.2.0.toml"),
        ("??", "src/new.py"),
    ]


def test_a_file_can_be_read_as_of_a_commit(repository):
    first = repository.git("rev-parse", "HEAD")
    repository.write("src/notes/server.py", "server = 2\n")
    repository.commit()
    assert Git(repository.path).show(first, "src/notes/server.py") == b"server = 1\n"
    assert _refused(Git(repository.path).show, first, "nowhere.py").error_id == "git.failed"
    assert _refused(Git(repository.path).show, "--output=/tmp/evil", "x").error_id == "git.failed"


def test_a_folder_that_is_no_repository_says_so(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        fault = _refused(Git(folder).head_commit)
        assert fault.error_id == "git.not-a-repository"
        assert str(folder) in fault.message


def test_a_repository_without_a_commit_says_so(tmp_path, repository):
    repository.git("init", "-q", str(tmp_path / "empty"))
    assert _refused(Git(tmp_path / "empty").head_commit).error_id == "git.no-commit"


def test_a_machine_without_git_says_so(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _refused(Git(repository.path).head_commit).error_id == "git.missing"


def test_variables_that_point_git_elsewhere_are_not_followed(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert Git(repository.path).head_commit()
    assert "GIT_DIR" in os.environ


def test_an_endless_answer_is_refused(repository, monkeypatch):
    monkeypatch.setattr(adapter, "OUTPUT_LIMIT_BYTES", 10)
    assert "answers too much" in _refused(Git(repository.path).tracked).message
