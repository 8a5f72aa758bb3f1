"""The tracked files that a check of the source looks at. Not a check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gonogo.adapters.git import Git
from gonogo.checks.context import CheckContext
from gonogo.model.errors import GonogoError

MAX_FILE_BYTES = 2 * 1024 * 1024
_LINK, _SUBMODULE = "120000", "160000"


def tracked_texts(git: Git, *paths: str) -> Iterator[tuple[str, str]]:
    """Path and text of every tracked regular file as it stands in the work tree; binary ones are left out.

    Raises:
        GonogoError: source.too-large for a text above 2 MiB, source.unreadable if a tracked file is gone.
    """
    for file in git.tracked(*paths):
        if file.mode in {_LINK, _SUBMODULE}:
            continue
        path = git.repo / file.path
        try:
            data = path.read_bytes()
        except OSError as error:
            raise GonogoError(
                "source.unreadable",
                f"{file.path} is tracked but cannot be read: {error.strerror}",
                hint=f"git checkout -- {file.path}",
            ) from error
        if b"\0" in data[:8192]:
            continue
        if len(data) > MAX_FILE_BYTES:
            raise GonogoError(
                "source.too-large", f"{file.path} has {len(data)} bytes; expected at most 2 MiB"
            )
        yield file.path, data.decode("utf-8", errors="replace")


def shipped_python(ctx: CheckContext) -> list[tuple[str, str]]:
    """Path and text of the Python files that are shipped.

    Raises:
        GonogoError: source.nothing-shipped if there is none, which is no reason to pass.
    """
    declared = ctx.settings.release.artefact
    there = [path for path in declared if (ctx.repo / path).exists()]
    found = (
        [(p, text) for p, text in tracked_texts(ctx.git, *there) if Path(p).suffix == ".py"] if there else []
    )
    if not found:
        raise GonogoError(
            "source.nothing-shipped",
            f"no tracked Python file under {', '.join(declared) or 'release.artefact'}",
            hint="declare release.artefact in gonogo.toml",
        )
    return found
