"""Killed at any moment, the journal verifies when it is opened again and has lost nothing acknowledged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gonogo.journal.journal import Journal
from gonogo.model.entry import EntryKind

WRITER = Path(__file__).with_name("journal_writer.py")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _start(folder: Path, name: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), str(folder), name, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _told(lines: str | list[str]) -> dict[int, str]:
    """Sequence number to hash of every entry whose writer was told that it is kept."""
    whole = lines.splitlines(keepends=True) if isinstance(lines, str) else lines
    pairs = (line.split() for line in whole if line.endswith("\n"))
    return {int(seq): entry_hash for seq, entry_hash in pairs}


def _reopened(folder: Path) -> Journal:
    return Journal.open(folder, clock=lambda: NOW, service="notes")


def _assert_whole(folder: Path, told: dict[int, str]) -> int:
    """Everything told is there, the chain verifies and goes on; gives how many entries there were."""
    with _reopened(folder) as journal:
        assert journal.verify() == []
        kept = {entry.seq: entry.hash for entry in journal.entries()}
        assert list(kept) == list(range(1, len(kept) + 1))
        assert {seq: kept.get(seq) for seq in told} == told
        journal.append(EntryKind.DECISION, {"after": "the kill"}, actor="ada", release="rel-0")
        assert journal.verify() == []
    return len(kept)


@pytest.mark.parametrize("where", ["commit", "head", "rename", "said"])
@pytest.mark.parametrize("kill_at", [1, 6])
def test_killed_in_the_nth_append_nothing_told_is_lost(tmp_path, kill_at, where):
    process = _start(tmp_path / "state", "w", str(kill_at), where)
    output, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    told = _told(output)
    assert len(told) == kill_at - 1
    there = _assert_whole(tmp_path / "state", told)
    not_ended = where == "commit"
    assert there == 1 + kill_at - (1 if not_ended else 0), "an entry is there whole or not at all"


def test_killed_before_its_first_entry_is_whole_a_journal_can_still_be_opened(tmp_path):
    folder = tmp_path / "state"
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom datetime import UTC, datetime\n"
        "from gonogo.journal import journal, schema\n"
        "die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "if sys.argv[2] == 'schema': migrate = schema._migrate; "
        "schema._migrate = lambda connection: (migrate(connection), die())\n"
        "if sys.argv[2] == 'head': journal.advance_head = die\n"
        "clock = lambda: datetime(2026, 11, 23, tzinfo=UTC)\n"
        "journal.Journal.open(Path(sys.argv[1]), clock=clock, service='n')\n"
    )
    for where in ("schema", "head"):
        command = [sys.executable, "-c", code, str(folder / where), where]
        killed = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        _assert_whole(folder / where, {})


def test_killed_at_random_moments_nothing_told_is_lost(tmp_path):
    chosen = random.Random(20261123)
    folder = tmp_path / "state"
    told: dict[int, str] = {}
    for number in range(4):
        process = _start(folder, f"w{number}")
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(chosen.randint(5, 40))]
        os.kill(process.pid, signal.SIGKILL)
        rest, said = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, said
        told |= _told([*lines, *rest.splitlines(keepends=True)])
        _assert_whole(folder, told)
    assert len(told) > 20


def test_several_writers_are_killed_at_once_and_the_chain_has_no_gap(tmp_path):
    folder = tmp_path / "state"
    writers = [_start(folder, f"w{number}") for number in range(3)]
    lines = []
    for process in writers:
        assert process.stdout is not None
        lines += [process.stdout.readline() for _ in range(15)]
    for process in writers:
        os.kill(process.pid, signal.SIGKILL)
    for process in writers:
        rest, _ = process.communicate(timeout=60)
        lines += rest.splitlines(keepends=True)
    told = _told(lines)
    assert len(told) >= 45, "no two writers were told the same number"
    _assert_whole(folder, told)


def test_the_search_for_losses_finds_one(tmp_path):
    """The control: an entry that was told and is not there is noticed."""
    process = _start(tmp_path / "state", "w", "5", "said")
    output, _ = process.communicate(timeout=60)
    told = _told(output) | {99: "f" * 64}
    with pytest.raises(AssertionError):
        _assert_whole(tmp_path / "state", told)
