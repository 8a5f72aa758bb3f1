"""The repository that the demo releases from: ``build/demo/service``, a copy of ``examples/notes``.

It has commits of its own, keys of its own for the people who sign, and a gonogo.toml with short limits.
Everything lies below ``build/demo``; nothing outside the repository is read for settings or written.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from demo.program import Programs

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
PEOPLE = ("mara", "jonas")
_COPIED = ("README.md", "pyproject.toml", "src", "tests/conftest.py", "tests/unit")
_SOCKET_PATH_MAX = 100  # the kernel allows 107
_IGNORED = "__pycache__/\n.gonogo/\n*.sqlite*\n.coverage*\n.hypothesis/\n.pytest_cache/\n"
_HISTORY = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Jonas Weber",
    "GIT_AUTHOR_EMAIL": "jonas@example.com",
    "GIT_COMMITTER_NAME": "Jonas Weber",
    "GIT_COMMITTER_EMAIL": "jonas@example.com",
    "GIT_PAGER": "cat",
}


class WorkspaceError(Exception):
    """The demo cannot be prepared here; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything of one demo lies.

    Attributes:
        base: ``build/demo``, emptied at the start.
        service: the git repository that is released.
        http_port, admin_port: free when the demo began.
    """

    base: Path
    service: Path
    http_port: int
    admin_port: int

    @property
    def control(self) -> Path:
        """The control socket of the running service."""
        return self.base / "control.sock"

    @property
    def database(self) -> Path:
        """The notes of the running service."""
        return self.base / "data" / "notes.sqlite"

    @property
    def log(self) -> Path:
        """What the running service writes."""
        return self.base / "erlmcp.log"

    def key(self, person: str) -> Path:
        """The private key of a person."""
        return self.base / "keys" / person

    @property
    def environment(self) -> Mapping[str, str]:
        """What commands need to leave a person's own settings alone."""
        return {**_HISTORY, "HOME": str(self.base)}


@contextmanager
def alone(base: Path) -> Iterator[None]:
    """Hold the right to use ``base``; two demos in one folder would end each other's processes.

    Raises:
        WorkspaceError: another demo holds it.
    """
    lock = base.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise WorkspaceError(
                f"another demo runs in {base}, process {handle.read().strip() or 'unknown'}; wait for its end"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def prepare(base: Path, bin_folder: Path, version: str) -> Workspace:
    """Lay out an empty workspace: files, keys, configuration. ``begin_history`` follows.

    Raises:
        WorkspaceError: the path of the control socket would be too long for the kernel.
    """
    http_port, admin_port = _free_ports(2)
    workspace = Workspace(base, base / "service", http_port, admin_port)
    if len(str(workspace.control)) > _SOCKET_PATH_MAX:
        raise WorkspaceError(
            f"the path of the control socket is too long, got {len(str(workspace.control))} characters; "
            f"expected at most {_SOCKET_PATH_MAX}: {workspace.control}"
        )
    shutil.rmtree(base, ignore_errors=True)
    workspace.database.parent.mkdir(parents=True)
    _copy_service(workspace.service)
    public = {person: _make_key(workspace.key(person), person) for person in PEOPLE}
    _write_configuration(workspace, bin_folder, public)
    add_release(workspace, version, log_level="info")
    return workspace


def _copy_service(target: Path) -> None:
    source = ROOT / "examples" / "notes"
    for name in _COPIED:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source / name, target / name)
    shutil.copyfile(ROOT / "requirements.lock", target / "requirements.lock")
    (target / "releases").mkdir()
    (target / ".gitignore").write_text(_IGNORED)


def _make_key(path: Path, person: str) -> str:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return f"{public} {person}"


def _write_configuration(workspace: Workspace, bin_folder: Path, public: Mapping[str, str]) -> None:
    text = (Path(__file__).parent / "gonogo.template.toml").read_text()
    values = {
        "@ERLMCP@": str(bin_folder / "erlmcp"),
        "@BASE_URL@": f"http://{HOST}:{workspace.http_port}",
        "@ADMIN_URL@": f"http://{HOST}:{workspace.admin_port}",
        "@CONTROL@": str(workspace.control),
        **{f"@KEY_{person.upper()}@": key for person, key in public.items()},
    }
    for name, value in values.items():
        text = text.replace(name, value)
    (workspace.service / "gonogo.toml").write_text(text)


async def begin_history(git: Programs, version: str) -> None:
    """The repository as it stood when ``version`` went out."""
    await git.must("git", "init", "-q", "-b", "main", shown=False)
    await commit_release(git, version)
    await git.must("git", "tag", f"v{version}", shown=False)


async def commit_release(git: Programs, version: str) -> None:
    """Commit everything that belongs to a release."""
    await git.must("git", "add", ".", shown=False)
    await git.must("git", "commit", "-q", "-m", f"Notes {version}", shown=False)


def add_release(workspace: Workspace, version: str, *, log_level: str) -> Path:
    """Write what a release changes: manifest, version, change log. ``debug`` is the planted defect."""
    notes, service = ROOT / "examples" / "notes", workspace.service
    name = f"releases/{version}.toml"
    text = (notes / name).read_text().replace('"log.level" = "info"', f'"log.level" = "{log_level}"')
    (service / name).write_text(text)
    project = re.sub(
        r'(?m)^version = ".*"$', f'version = "{version}"', (notes / "pyproject.toml").read_text()
    )
    (service / "pyproject.toml").write_text(project)
    head, _, later = (notes / "CHANGELOG.md").read_text().partition("## [")
    entries = [entry for entry in later.split("## [") if entry.split("]")[0] <= version]
    (service / "CHANGELOG.md").write_text(head + "".join(f"## [{entry}" for entry in entries))
    return Path(name)


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind((HOST, 0))
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()
