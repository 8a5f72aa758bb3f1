"""A lease: one deployment at a time for an environment, on one machine.

An exclusive flock on a file that says who holds it. The lock ends with the process that took it, however
it ends, so a dead holder never blocks anybody. Each lease has a higher fencing token than the one before;
``check`` before every act notices a file that was taken away underneath.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from gonogo.model.clock import Clock
from gonogo.model.errors import GonogoError

_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, and since when."""

    pid: int
    user: str
    host: str
    started_at: str
    deployment: str
    token: int

    def __str__(self) -> str:
        return f"{self.user}@{self.host}, process {self.pid}, since {self.started_at}, for {self.deployment}"


class LeaseHeldError(GonogoError):
    """Somebody else deploys.

    Attributes:
        holder: who, if the file says.
    """

    def __init__(self, environment: str, holder: Holder | None) -> None:
        who = str(holder) if holder else "a process that has not written its name yet"
        super().__init__(
            "deploy.locked",
            f"another deployment to {environment} is running, got a lease held by {who}; expected none",
            hint="wait for it to end; gonogo status shows how far it is",
            exit_code=1,
        )
        self.holder = holder


class Lease:
    """A held lease; release it, or use it as a context manager."""

    def __init__(self, path: Path, descriptor: int, holder: Holder) -> None:
        self.path = path
        self.holder = holder
        self._descriptor = descriptor

    @classmethod
    def take(cls, folder: Path, environment: str, *, deployment: str, clock: Clock) -> Lease:
        """Take the lease of ``environment`` at once or not at all.

        Raises:
            LeaseHeldError: deploy.locked, naming the holder.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"lease-{environment}.json"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_same_file(path, descriptor):  # replaced between opening and locking
                raise BlockingIOError
        except BlockingIOError:
            holder = _read(descriptor)
            os.close(descriptor)
            raise LeaseHeldError(environment, holder) from None
        before = _read(descriptor)
        holder = Holder(
            pid=os.getpid(),
            user=getpass.getuser(),
            host=socket.gethostname(),
            started_at=_text(clock()),
            deployment=deployment,
            token=(before.token if before else 0) + 1,
        )
        _write(descriptor, holder)
        return cls(path, descriptor, holder)

    def check(self) -> None:
        """Make sure the lease is still ours.

        Raises:
            GonogoError: deploy.lease-lost.
        """
        found = _read(self._descriptor)
        if not _is_same_file(self.path, self._descriptor) or found != self.holder:
            raise GonogoError(
                "deploy.lease-lost",
                f"the lease {self.path} is not ours, got {found}; expected token {self.holder.token}",
                hint="nothing more was changed; look at gonogo status, then gonogo deploy --resume",
                exit_code=1,
            )

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read(descriptor: int) -> Holder | None:
    try:
        body: dict[str, Any] = json.loads(os.pread(descriptor, _MAX_BYTES, 0))
        return Holder(**body)
    except (ValueError, TypeError):
        return None


def _write(descriptor: int, holder: Holder) -> None:
    data = json.dumps(asdict(holder)).encode()
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))
    os.fsync(descriptor)
