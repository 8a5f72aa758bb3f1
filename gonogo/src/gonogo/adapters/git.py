"""Git, asked by its own program, without a shell and with bounded answers.

Only reads. It knows nothing of releases; ``gonogo.release.fingerprint`` does.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gonogo.model.errors import GonogoError

DEADLINE_S = 30.0
OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TrackedFile:
    """One file of the index: ``mode`` as git writes it, ``blob`` the id of what is staged."""

    mode: str
    blob: str
    path: str


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the work tree and the commit; ``status`` is git's two letters."""

    status: str
    path: str


class Git:
    """One repository's git."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo

    def root(self) -> Path:
        """The top folder of the work tree.

        Raises:
            GonogoError: ``git.not-a-repository``, ``git.missing``.
        """
        return Path(self._run("rev-parse", "--show-toplevel").decode().rstrip("\n"))

    def head_commit(self) -> str:
        """The full id of the commit that is checked out.

        Raises:
            GonogoError: ``git.no-commit`` in a repository without one; as ``root``.
        """
        self.root()
        done = self._try("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if done.returncode != 0:
            raise GonogoError(
                "git.no-commit",
                f"the repository has no commit yet, got {self.repo}; expected one to release",
                hint="commit what you want to release",
            )
        return done.stdout.decode().strip()

    def tracked(self, *paths: str) -> tuple[TrackedFile, ...]:
        """Tracked files under ``paths`` (all, if none are given), sorted by path.

        Paths are relative to the folder this was made for, and literal: no pattern is expanded.
        """
        listed = self._run("ls-files", "--stage", "-z", "--", *paths)
        files = []
        for record in _records(listed):
            facts, path = record.split("\t", 1)
            mode, blob, _stage = facts.split(" ")
            files.append(TrackedFile(mode, blob, path))
        return tuple(sorted(files, key=lambda file: file.path))

    def changes(self, *, untracked_under: tuple[str, ...] = ()) -> tuple[Change, ...]:
        """Changes of tracked files anywhere below, and untracked, not ignored files under the given paths."""
        found = [
            Change(record[:2], record[3:])
            for record in _records(
                self._run("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no", "--", ".")
            )
        ]
        if untracked_under:
            listed = self._run(
                "ls-files", "--others", "--exclude-standard", "-z", "--full-name", "--", *untracked_under
            )
            found += [Change("??", path) for path in _records(listed)]
        return tuple(sorted(found, key=lambda change: (change.path, change.status)))

    def show(self, commit: str, path: str) -> bytes:
        """A file's bytes as of a commit.

        Raises:
            GonogoError: ``git.failed`` if there is no such commit or file.
        """
        return self._run("show", "--end-of-options", f"{commit}:{path}")

    def read(self, *arguments: str) -> str:
        """The output of any other reading git command, such as ``log`` with its options.

        Raises:
            GonogoError: ``git.failed`` with the last line git wrote.
        """
        return self._run(*arguments).decode("utf-8", "replace")

    def _run(self, *arguments: str) -> bytes:
        done = self._try(*arguments)
        if done.returncode != 0:
            raise self._failure(arguments[0], done.stderr.decode("utf-8", "replace"))
        if len(done.stdout) > OUTPUT_LIMIT_BYTES:
            raise GonogoError(
                "git.failed",
                f"git {arguments[0]} answers too much, got {len(done.stdout)} bytes; "
                f"expected at most {OUTPUT_LIMIT_BYTES}",
            )
        return done.stdout

    def _try(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = ["git", "--no-pager", "--no-optional-locks", "--literal-pathspecs", "-C", str(self.repo)]
        try:
            return subprocess.run(
                [*command, *arguments],
                capture_output=True,
                timeout=DEADLINE_S,
                check=False,
                stdin=subprocess.DEVNULL,
                env=_plain_environment(),
            )
        except FileNotFoundError as cause:
            raise GonogoError(
                "git.missing",
                "git cannot be run, got no such program; expected git on PATH",
                hint="install git",
            ) from cause
        except subprocess.TimeoutExpired as cause:
            raise GonogoError(
                "git.failed", f"git {arguments[0]} did not finish, got no answer within {DEADLINE_S:.0f} s"
            ) from cause

    def _failure(self, verb: str, said: str) -> GonogoError:
        if "not a git repository" in said or "cannot change to" in said:
            return GonogoError(
                "git.not-a-repository",
                f"this is not a git repository, got {self.repo}; expected the repository of the release",
                hint="run gonogo inside the repository, or point to it with -C DIR",
            )
        lines = said.strip().splitlines()
        return GonogoError("git.failed", f"git {verb} failed: {lines[-1] if lines else 'it said nothing'}")


def _records(output: bytes) -> list[str]:
    return [record.decode("utf-8", "surrogateescape") for record in output.split(b"\0") if record]


def _plain_environment() -> dict[str, str]:
    """The caller's environment without what points git elsewhere or changes the language of its answers."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
