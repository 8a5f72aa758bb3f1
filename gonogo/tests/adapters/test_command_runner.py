"""Declared commands: no shell, a bare environment, bounded output, and nothing left behind."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from gonogo.adapters.command import CommandError, CommandRunner, filled

PYTHON = sys.executable


def run(folder, line, **options):
    limits = {k: options.pop(k) for k in ("max_output_bytes",) if k in options}
    return asyncio.run(CommandRunner(folder, **limits).run(line, **options))


def test_the_end_and_the_output_are_told(tmp_path):
    code = "import sys; print('out'); sys.stdout.flush(); print('err', file=sys.stderr); sys.exit(3)"
    done = run(tmp_path, [PYTHON, "-c", code])
    assert (done.exit_code, done.output) == (3, b"out\nerr\n")
    assert b"exit 3" in done.as_reading().body


def test_no_shell_reads_the_arguments(tmp_path):
    done = run(
        tmp_path, [PYTHON, "-c", "import sys; print(sys.argv[1])", "$(touch gotcha); `id` | cat > gotcha"]
    )
    assert b"$(touch gotcha)" in done.output
    assert list(tmp_path.iterdir()) == []


def test_the_environment_holds_only_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "s3cr3t")
    code = "import os; print(sorted(os.environ))"
    done = run(tmp_path, [PYTHON, "-c", code], environment={"DECLARED": "1"})
    assert b"DECLARED" in done.output
    assert b"SHOP_TOKEN" not in done.output


@pytest.mark.parametrize(("size", "dropped"), [(100, 0), (101, 1), (5000, 4900)])
def test_only_the_last_bytes_of_the_output_are_kept(tmp_path, size, dropped):
    done = run(tmp_path, [PYTHON, "-c", f"print('a' * {size - 1} + 'z', end='')"], max_output_bytes=100)
    assert len(done.output) == 100
    assert done.output.endswith(b"z")
    assert done.dropped_bytes == dropped


def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path):
    code = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "open('pid', 'w').write(str(child.pid)); child.wait()\n"
    )
    with pytest.raises(CommandError) as caught:
        run(tmp_path, [PYTHON, "-c", code], timeout_s=3.0)
    assert caught.value.error_id == "command.timeout"
    stat = Path(f"/proc/{int((tmp_path / 'pid').read_text())}/stat")
    deadline = time.monotonic() + 10.0
    while _runs(stat):  # the kernel ends a killed process in its own time
        assert time.monotonic() < deadline, "the child of a killed command still runs"


def _runs(stat):
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("line", "error_id"),
    [
        ([], "command.not-declared"),
        (["/no/such/program"], "command.not-started"),
        (["a\0b"], "command.not-started"),
    ],
)
def test_a_command_that_cannot_start_says_why(tmp_path, line, error_id):
    with pytest.raises(CommandError) as caught:
        run(tmp_path, line)
    assert caught.value.error_id == error_id


def test_placeholders_are_replaced_and_other_braces_stay():
    assert filled(["--x={junit}", "{}", "{other}", "{junit}{repo}"], {"junit": "j", "repo": "r"}) == (
        "--x=j", "{}", "{other}", "jr",
    )  # fmt: skip


def test_repo_and_python_are_always_known(tmp_path):
    done = run(tmp_path, ["{python}", "-c", "import os, sys; print(sys.argv[1] == os.getcwd())", "{repo}"])
    assert done.output == b"True\n"
    assert os.fspath(tmp_path) in done.arguments
