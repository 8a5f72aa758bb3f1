"""A log is rotated by size and age, also under several processes: no line is lost or torn."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from erlmcp.config.log_settings import LogSettings
from erlmcp.telemetry.log_file import LogFile, log_file_of
from erlmcp.telemetry.log_writer import LogWriter

WRITER = Path(__file__).parent / "programs" / "log_writer.py"
LINE = json.dumps({"ts": "2026-11-26T08:00:00.000+00:00", "text": "x" * 100})


@pytest.fixture
def opened(tmp_path):
    """Open the log of one more process; time is what the test says."""
    files: list[LogFile] = []
    now = [1_000.0]

    def open_one(**settings):
        each = LogFile(LogSettings(file=str(tmp_path / "log"), **settings), lambda: now[0])
        each.now = now
        files.append(each)
        return each

    yield open_one
    for each in files:
        each.close()


def written(folder: Path) -> list[dict]:
    """Every line of the log and of those before it, oldest first; each must be whole."""
    older = sorted(folder.glob("log.*"), key=lambda each: -int(each.suffix[1:]))
    text = "".join(each.read_text() for each in [*older, folder / "log"])
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_log_is_rotated_at_its_size_and_not_before(opened, tmp_path):
    log = opened(max_bytes=2 * len(LINE) + 2)
    LogWriter(log.descriptor).write_line(LINE)
    log.look()
    assert names(tmp_path) == ["log"]
    LogWriter(log.descriptor).write_line(LINE)
    log.look()
    assert names(tmp_path) == ["log", "log.1"]
    assert (tmp_path / "log").read_text() == ""
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_log_is_rotated_at_the_age_of_its_first_line_also_by_a_process_that_came_later(opened, tmp_path):
    first = opened(max_age_s=60)
    LogWriter(first.descriptor).write_line(LINE)
    later = opened(max_age_s=60)
    later.now[0] = 1_795_680_000.0 + 59  # the first line, and 59 s
    later.look()
    assert names(tmp_path) == ["log"]
    later.now[0] += 1
    later.look()
    assert names(tmp_path) == ["log", "log.1"]


def test_an_empty_log_is_never_rotated(opened, tmp_path):
    log = opened(max_bytes=1, max_age_s=1)
    log.now[0] = 4e9
    log.look()
    assert names(tmp_path) == ["log"]


def test_nothing_is_rotated_when_neither_size_nor_age_is_set(opened, tmp_path):
    log = opened(max_bytes=0)
    log.now[0] = 4e9
    for _ in range(100):
        LogWriter(log.descriptor).write_line(LINE)
    log.look()
    assert names(tmp_path) == ["log"]


def test_as_many_older_files_stay_as_are_kept_and_other_files_are_left_alone(opened, tmp_path):
    for other in ("log.9", "log.old", "log.1.gz", "log.01", "catalog.7"):
        (tmp_path / other).write_text("mine")
    log = opened(max_bytes=1, keep=2)
    for text in "abcd":
        LogWriter(log.descriptor).write_line(text)
        log.look()
    assert names(tmp_path) == ["catalog.7", "log", "log.01", "log.1", "log.1.gz", "log.2", "log.old"]
    assert (tmp_path / "log.1").read_text() == "d\n"
    assert (tmp_path / "log.2").read_text() == "c\n"


def test_a_process_that_has_not_looked_yet_writes_to_the_renamed_file_first(opened, tmp_path):
    one, other = opened(max_bytes=3), opened(max_bytes=3)
    LogWriter(one.descriptor).write_line("aa")
    one.look()
    LogWriter(other.descriptor).write_line("bb")
    assert (tmp_path / "log.1").read_text() == "aa\nbb\n"
    number = other.descriptor
    other.look()
    assert other.descriptor == number
    LogWriter(other.descriptor).write_line("c")
    assert (tmp_path / "log").read_text() == "c\n"
    assert names(tmp_path) == ["log", "log.1"], "the one that came late has not rotated again"


def test_another_program_may_rotate_without_telling(opened, tmp_path):
    log = opened()
    LogWriter(log.descriptor).write_line("before")
    (tmp_path / "log").rename(tmp_path / "log-20261126")
    log.look()
    LogWriter(log.descriptor).write_line("after")
    assert (tmp_path / "log-20261126").read_text() == "before\n"
    assert (tmp_path / "log").read_text() == "after\n"


def test_one_that_finds_another_at_it_leaves_the_rotation_to_it(opened, tmp_path):
    log = opened(max_bytes=1)
    LogWriter(log.descriptor).write_line("a")
    with (tmp_path / "log").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        log.look()
        assert names(tmp_path) == ["log"]
    log.look()
    assert names(tmp_path) == ["log", "log.1"]


def test_trouble_is_logged_once_and_writing_goes_on(opened, tmp_path, caplog):
    log = opened(max_bytes=1, keep=1)
    (tmp_path / "log.1").mkdir()
    (tmp_path / "log.1" / "full").touch()
    LogWriter(log.descriptor).write_line("a")
    log.look()
    log.look()
    LogWriter(log.descriptor).write_line("b")
    assert [record.getMessage() for record in caplog.records] == ["log.rotation-failed"]
    assert (tmp_path / "log").read_text() == "a\nb\n"


def test_a_change_of_the_working_directory_does_not_move_the_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = log_file_of(LogSettings(file="log", max_bytes=1))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    LogWriter(log.descriptor).write_line("a")
    log.look()
    log.close()
    assert names(tmp_path) == ["elsewhere", "log", "log.1"]
    assert log_file_of(LogSettings()) is None


def test_several_processes_burst_and_die_and_every_line_is_there_once(tmp_path):
    settings = LogSettings(file=str(tmp_path / "log"), max_bytes=20_000, keep=1_000).model_dump_json()

    def start(name, count):
        command = [sys.executable, str(WRITER), settings, name, str(count)]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    doomed = start("doomed", 10_000_000)
    writers = [start(str(number), 3_000) for number in range(3)]
    assert doomed.stdout.readline()
    doomed.kill()
    assert [each.wait(60) for each in writers] == [0, 0, 0]
    doomed.wait(10)
    for each in [doomed, *writers]:
        each.stdout.close()
    lines = written(tmp_path)
    for name in "012":
        assert sorted(line["n"] for line in lines if line["writer"] == name) == list(range(3_000))
    of_doomed = sorted(line["n"] for line in lines if line["writer"] == "doomed")
    assert of_doomed == list(range(len(of_doomed)))
    assert len(names(tmp_path)) > 10
