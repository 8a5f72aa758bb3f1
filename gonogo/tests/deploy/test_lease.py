"""One deployment at a time: the lease names its holder, ends with its process, notices being taken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from gonogo.adapters.lease import Lease, LeaseHeldError
from gonogo.model.errors import GonogoError


def clock() -> datetime:
    return datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def take(folder, environment="production") -> Lease:
    return Lease.take(folder, environment, deployment="dep-1", clock=clock)


def test_a_second_taker_is_told_who_holds_it(tmp_path):
    with take(tmp_path) as held, pytest.raises(LeaseHeldError) as caught:
        take(tmp_path)
    assert caught.value.holder == held.holder
    for part in (f"process {os.getpid()}", "2026-11-23T12:00:00Z", "dep-1"):
        assert part in caught.value.message


def test_each_environment_has_its_own(tmp_path):
    with take(tmp_path, "staging"), take(tmp_path, "production"):
        pass


def test_each_lease_has_a_higher_token_than_the_one_before(tmp_path):
    tokens = []
    for _ in range(3):
        with take(tmp_path) as lease:
            tokens.append(lease.holder.token)
    assert tokens == [1, 2, 3]


def test_the_holder_may_check_and_a_lease_whose_file_was_replaced_is_lost(tmp_path):
    with take(tmp_path) as lease:
        lease.check()
        lease.path.unlink()
        with pytest.raises(GonogoError) as caught:
            lease.check()
        assert caught.value.error_id == "deploy.lease-lost"


def test_a_lease_overwritten_with_another_token_is_lost(tmp_path):
    with take(tmp_path) as lease:
        body = json.loads(lease.path.read_text())
        lease.path.write_text(json.dumps(body | {"token": 99}))
        with pytest.raises(GonogoError):
            lease.check()


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"pid": 1}', b"\xff\xfe"])
def test_a_damaged_file_neither_blocks_nor_breaks(tmp_path, content):
    (tmp_path / "lease-production.json").write_bytes(content)
    with take(tmp_path) as lease:
        assert lease.holder.token == 1


def test_a_killed_holder_blocks_nobody(tmp_path):
    program = (
        "import sys, pathlib, datetime\n"
        "from gonogo.adapters.lease import Lease\n"
        "clock = lambda: datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)\n"
        "lease = Lease.take(pathlib.Path(sys.argv[1]), 'production', deployment='dep-0', clock=clock)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(LeaseHeldError) as caught:
            take(tmp_path)
        assert caught.value.holder.pid == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        with take(tmp_path) as lease:
            assert lease.holder.token == 2
    finally:
        process.kill()
        process.communicate(timeout=10)
