"""Real processes: over standard input and output, and several on one database."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from notes.store import NoteStore

WRITERS = 3
CHANGES = 25
WRITE = """
import sys
from datetime import UTC, datetime
from notes.store import NoteStore
store = NoteStore.open(sys.argv[1], clock=lambda: datetime.now(UTC))
for number in range(int(sys.argv[4])):
    store.append(sys.argv[2], f"{sys.argv[3]}.{number}")
    store.create(f"note {sys.argv[3]}.{number}", "word", ["many"])
"""


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}


@pytest.mark.anyio
async def test_it_serves_over_standard_input_and_output(tmp_path):
    started = StdioServerParameters(
        command=sys.executable,
        args=["-m", "notes"],
        env=environment(NOTES_DATABASE=str(tmp_path / "notes.sqlite"), NOTES_RELEASE="1.0.0"),
    )
    async with Client(started) as client:
        assert client.server_info.version == "1.0.0"
        made = await client.call_tool("create_note", {"title": "over a pipe"})
        found = await client.call_tool("search_notes", {"query": "pipe"})
    assert found.structured_content["hits"][0]["id"] == made.structured_content["id"]


def test_an_unknown_release_is_told_and_nothing_is_served(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "notes"],
        env=environment(NOTES_DATABASE=str(tmp_path / "notes.sqlite"), NOTES_RELEASE="9"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 2
    assert "error: NOTES_RELEASE names no release, got '9'; expected one of 1.0.0" in ran.stderr
    assert ran.stdout == ""


def test_several_processes_write_one_database_and_no_change_is_lost(tmp_path, clock):
    path = str(tmp_path / "notes.sqlite")
    store = NoteStore.open(path, clock=clock)
    note = store.create("shared", "", [])
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, path, note.id, str(n), str(CHANGES)], env=environment()
        )
        for n in range(WRITERS)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * WRITERS
    lines = store.get(note.id).body.splitlines()
    assert sorted(lines) == sorted(f"{n}.{change}" for n in range(WRITERS) for change in range(CHANGES))
    assert store.get(note.id).revision == 1 + WRITERS * CHANGES
    assert store.count() == 1 + WRITERS * CHANGES
    assert len(store.search("word", tag="many", limit=50)) == 50
    store.close()


def test_processes_that_start_together_on_a_new_database_all_come_up(tmp_path):
    path = str(tmp_path / "new.sqlite")
    start = "import sys; from notes.store import NoteStore; NoteStore.open(sys.argv[1], clock=None).count()"
    started = [subprocess.Popen([sys.executable, "-c", start, path], env=environment()) for _ in range(4)]
    assert [process.wait(timeout=60) for process in started] == [0] * 4
