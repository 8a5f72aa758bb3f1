"""Who writes a log never waits for who reads it, and what is lost is told."""

from __future__ import annotations

import json
import logging
import os
import threading
import time

import pytest
from erlmcp.tests.conftest import ServerProcess

from erlmcp.config.log_settings import LogSettings
from erlmcp.telemetry import log_writer, logs
from erlmcp.telemetry.exposition import exposition
from erlmcp.telemetry.log_writer import LogWriter

LINE = b"%06d " + b"x" * 92 + b"\n"
PIPE_BYTES = 65_536
MOST = 500_000


@pytest.fixture(autouse=True)
def _little_waits(monkeypatch):
    monkeypatch.setattr(log_writer, "MAX_WAITING_BYTES", MOST)


@pytest.fixture(params=[True, False], ids=["waits", "refuses"])
def pipe(request):
    """As the standard error of a program, and as the pipe of a worker."""
    read, write = os.pipe()
    os.set_blocking(write, request.param)
    yield read, write
    os.close(read)  # what still waits is lost now
    for writer in [each for each in log_writer._ALL if each.descriptor == write]:
        writer.flush(10.0)
    os.close(write)


def read_all(end, enough):
    """What comes until ``enough`` says so."""
    data = b""
    while not enough(data):
        data += os.read(end, 1 << 20)
    return data


def told_lost(lines):
    return b"lost %d\n" % lines


def test_a_reader_that_does_not_read_holds_up_nobody_and_hears_what_it_missed(pipe):
    writer = LogWriter(pipe[1], told_lost)
    count = 3 * MOST // len(LINE % 0)
    for number in range(count):
        writer.write(LINE % number)
    kept = count - writer.lost
    assert writer.lost > 0
    assert kept * len(LINE % 0) >= MOST
    lines = read_all(pipe[0], lambda data: b"lost" in data and data.endswith(b"\n")).splitlines()
    assert lines[-1] == b"lost %d" % writer.lost
    assert [int(line[:6]) for line in lines[:-1]] == list(range(kept)), "in order, and none torn"
    writer.write(LINE % 7)
    assert os.read(pipe[0], 1_000) == LINE % 7


def test_no_more_waits_than_the_limit(pipe):
    writer = LogWriter(pipe[1], told_lost)
    while not writer.lost:
        writer.write(LINE % 0)
    assert writer._waiting_bytes <= MOST
    assert writer._waiting_bytes + len(LINE % 0) > MOST


def test_lines_of_several_threads_are_not_mixed_while_the_reader_is_slow(pipe):
    writer = LogWriter(pipe[1])

    def write():
        for number in range(400):
            writer.write(LINE % number * 3)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    size = len(LINE % 0)
    data = read_all(pipe[0], lambda data: len(data) == 3 * 400 * 3 * size)
    for thread in threads:
        thread.join()
    numbers = [int(data[at : at + 6]) for at in range(0, len(data), size)]
    assert sorted(numbers) == sorted(list(range(400)) * 9)


def test_a_line_that_is_longer_than_a_pipe_takes_at_once_comes_whole(pipe):
    writer = LogWriter(pipe[1])
    long = b"y" * (3 * PIPE_BYTES) + b"\n"
    writer.write(long + LINE % 1)
    assert read_all(pipe[0], lambda data: data.endswith(LINE % 1)) == long + LINE % 1


def test_a_file_takes_everything_with_one_write(tmp_path, monkeypatch):
    writes = []
    with (tmp_path / "log").open("wb") as file:
        writer = LogWriter(file.fileno())
        monkeypatch.setattr(log_writer.os, "write", lambda _, data: writes.append(len(data)) or len(data))
        writer.write(b"z" * 100_000 + b"\n")
    assert writes == [100_001]


def test_a_reader_that_is_gone_loses_lines_and_nothing_else():
    read, write = os.pipe()
    writer = LogWriter(write)
    os.close(read)
    for number in range(3_000):
        writer.write(LINE % number)
    writer.flush(5.0)
    assert not writer._waiting
    os.close(write)


def test_the_end_waits_for_a_slow_reader_and_not_for_one_that_never_reads(pipe):
    writer = LogWriter(pipe[1])
    writer.write(b"a" * PIPE_BYTES * 2 + b"\n")
    began = time.monotonic()
    writer.flush(0.2)
    assert 0.2 <= time.monotonic() - began < 5.0
    reading = threading.Thread(target=read_all, args=(pipe[0], lambda data: data.endswith(b"\n")))
    reading.start()
    writer.flush(30.0)
    assert not writer._waiting
    reading.join()


def test_a_process_that_was_forked_while_a_line_was_written_can_write(pipe):
    writer = LogWriter(pipe[1])
    with writer._lock:
        child = os.fork()
        if not child:
            writer.write(b"child\n")
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(pipe[0], 100) == b"child\n"


@pytest.fixture
def root():
    """The root of all loggers, as it was before when the test is over."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.usefixtures("root")
def test_how_many_lines_were_lost_stands_in_the_log(pipe, monkeypatch):
    monkeypatch.setattr(log_writer, "MAX_WAITING_BYTES", 1_000)
    writer = logs.configure(LogSettings(), descriptor=pipe[1], generation="g1")
    while writer.lost < 5:
        logs.Log("test").info("event", text="x" * 500)
    read = read_all(pipe[0], lambda data: b"lines-lost" in data and data.endswith(b"\n"))
    told = json.loads(read.splitlines()[-1])
    assert (told["event"], told["level"], told["lines"]) == ("log.lines-lost", "warning", writer.lost)


class Deaf(ServerProcess):
    """A server whose standard error nobody reads, once it has said where it listens."""

    hears = threading.Event()

    def _read(self):
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
            if line.startswith("erlmcp "):
                self.hears.wait()
        with self._changed:
            self._changed.notify_all()


def test_a_server_whose_log_nobody_reads_serves_on_and_ends(tmp_path, until):
    server = Deaf(tmp_path, env={"ERLMCP_LOG__ACCESS": "true"})
    calls = 1_500  # some 400 KB of log: more than the pipes hold
    try:
        connection = server.started().connect()
        for _ in range(calls):
            assert connection.call("who")
        assert server.read("/ready").status == 200
        assert server.sample("erlmcp_log_lines_lost_total") == 0
        server.hears.set()
        until(lambda: sum('"event":"request"' in line for line in server.lines) == calls)
        assert server.stop() == 0
    finally:
        server.hears.set()
        server.kill()


def test_lines_that_were_lost_are_counted():
    page = exposition([], "9.9", log_lines_lost=7).decode()
    assert "erlmcp_log_lines_lost_total 7.0" in page
