"""What the demo starts it also ends, and it says clearly when it cannot be tried."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from demo import __main__ as story
from demo.program import Programs, end_strays
from demo.screen import Screen
from demo.service import Observer, ServiceError, serving
from demo.waiting import until
from demo.workspace import WorkspaceError, add_release, alone, prepare

pytestmark = pytest.mark.anyio
BIN = Path(sys.executable).parent


def programs(folder: Path) -> Programs:
    return Programs(folder, Screen(), environment={"HOME": str(folder)}, bin_folder=BIN)


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_command_is_shown_with_what_it_says_and_how_it_ended(tmp_path, capsys):
    ran = await programs(tmp_path).show("sh", "-c", "echo out; echo err >&2; exit 3")
    assert (ran.exit_code, ran.output) == (3, "out\nerr")
    assert capsys.readouterr().out == "$ sh -c 'echo out; echo err >&2; exit 3'\n  out\n  err\n"


async def test_a_command_that_must_succeed_stops_the_story_when_it_does_not(tmp_path):
    with pytest.raises(RuntimeError, match="false ended with exit code 1"):
        await programs(tmp_path).must("false")


async def test_a_command_is_ended_when_the_story_is_interrupted(tmp_path):
    task = asyncio.create_task(programs(tmp_path).ask("sh", "-c", "echo $$ > pid; exec sleep 60"))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), timeout_s=10)
    pid = int((tmp_path / "pid").read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pid)


def test_what_detached_itself_is_ended_and_nothing_else_is(tmp_path):
    home, other = tmp_path / "home", tmp_path / "other"
    sleepers = [
        subprocess.Popen(["sleep", "60"], env={"HOME": str(folder)}, start_new_session=True)
        for folder in (home, other)
    ]
    try:
        assert end_strays(home) == [sleepers[0].pid]
        assert sleepers[0].wait(timeout=10) == -9
        assert sleepers[1].poll() is None
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait(timeout=10)


def test_a_second_demo_in_the_same_folder_is_refused_and_told_who_runs(tmp_path):
    base = tmp_path / "demo"
    with alone(base), pytest.raises(WorkspaceError, match=f"process {os.getpid()}"), alone(base):
        pass
    with alone(base):
        pass


def test_a_folder_too_deep_for_a_socket_is_refused_before_anything_is_written(tmp_path):
    deep = tmp_path / ("d" * 120)
    with pytest.raises(WorkspaceError, match="control socket is too long"):
        prepare(deep, BIN, "1.0.0")
    assert not deep.exists()


def test_the_workspace_is_a_copy_with_keys_that_only_the_owner_may_read(tmp_path):
    workspace = prepare(tmp_path / "demo", BIN, "1.0.0")
    assert (workspace.service / "src" / "notes" / "server.py").is_file()
    assert {workspace.key(person).stat().st_mode & 0o777 for person in ("mara", "jonas")} == {0o600}
    assert "@" not in (workspace.service / "gonogo.toml").read_text().replace("@example.com", "")
    assert sorted(path.name for path in (workspace.service / "releases").iterdir()) == ["1.0.0.toml"]


def test_a_release_brings_its_manifest_its_version_and_its_entry_in_the_change_log(tmp_path):
    workspace = prepare(tmp_path / "demo", BIN, "1.0.0")
    assert "1.1.0" not in (workspace.service / "CHANGELOG.md").read_text()
    add_release(workspace, "1.1.0", log_level="debug")
    assert '"log.level" = "debug"' in (workspace.service / "releases" / "1.1.0.toml").read_text()
    assert '\nversion = "1.1.0"\n' in (workspace.service / "pyproject.toml").read_text()
    log = (workspace.service / "CHANGELOG.md").read_text()
    assert log.index("[1.1.0]") < log.index("[1.0.0]")
    assert "1.2.0" not in log


async def test_a_service_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path):
    workspace = prepare(tmp_path / "demo", BIN, "1.0.0")
    with pytest.raises(ServiceError, match="it ended with exit code"):
        async with serving(workspace, BIN, version="9.9.9", workers=1):
            pass


async def test_the_observer_sees_who_serves_and_notes_that_it_could_not_look(raw_server):
    active = b'[{"id":"g%d","version":"%d","state":"active"}]'
    answers = iter((active % (1, 1), b"x", active % (2, 2)))

    async def answer(reader, writer):
        while await reader.read(4096):
            body = next(answers, b"[]")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()

    async with raw_server(answer) as port:
        observer = Observer(port)
        task = asyncio.create_task(observer.look())
        await until(lambda: len(observer.tenures) == 2, timeout_s=10)
        observer.stop()
        await task
    first, second = observer.tenures
    assert (first.release, second.release, observer.blind_looks) == ("1", "2", 1)
    times = [
        first.not_before_s,
        first.first_seen_s,
        first.last_seen_s,
        first.not_after_s,
        second.first_seen_s,
    ]
    assert times == sorted(times)
    assert second.not_before_s == first.last_seen_s


def test_another_platform_is_refused_clearly(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert story.main() == 2
    assert capsys.readouterr().err == "error[demo.platform]: the demo needs Linux, got darwin\n"


def test_a_fault_ends_the_demo_with_one_sentence_and_without_success(monkeypatch, capsys):
    async def fails(_screen: Screen) -> int:
        raise ServiceError("the service does not run")

    monkeypatch.setattr(story, "run", fails)
    assert story.main() == 1
    assert capsys.readouterr().err == "error[demo.failed]: the service does not run\n"
