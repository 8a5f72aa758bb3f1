"""One place turns faults into words: never a bare traceback, always an id and the right exit code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gonogo.cli import faults
from gonogo.model.errors import GonogoError


@pytest.mark.parametrize(
    "arguments",
    [["nosuch"], ["check", "--nosuch"], ["attest"], ["-C", "/nosuch", "check"], ["decide", "maybe"]],
)
def test_wrong_usage_is_explained_and_exits_2(call, arguments):
    done = call(*arguments)
    assert done.code == 2
    assert done.err.startswith("error[cli.usage]: ")
    assert "--help" in done.err
    assert "Traceback" not in done.err


def test_help_is_no_fault(call):
    done = call("check", "--help")
    assert done.code == 0
    assert "--only" in done.out


def test_an_error_has_id_note_help_and_its_own_exit_code(capsys):
    def fail():
        raise GonogoError("some.id", "it is wrong", hint="mend it", note="since Monday", exit_code=3)

    assert faults.run(fail) == 3
    assert capsys.readouterr().err == "error[some.id]: it is wrong\nnote: since Monday\nhelp: mend it\n"


def test_a_defect_is_kept_in_a_file_and_not_thrown_at_the_person(capsys):
    def break_down():
        raise ZeroDivisionError("the secret sauce")

    assert faults.run(break_down) == 2
    said = capsys.readouterr().err
    assert said.startswith("error[internal]: a defect in gonogo: ZeroDivisionError: the secret sauce")
    assert "Traceback" not in said
    kept = Path(re.search(r"the traceback is in (\S+);", said)[1])
    assert "break_down" in kept.read_text()
    kept.unlink()


def test_an_interruption_is_said_in_one_line(capsys):
    def interrupt():
        raise KeyboardInterrupt

    assert faults.run(interrupt) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_brackets_in_messages_are_printed_as_they_are(capsys):
    def fail():
        raise GonogoError("some.id", "got [bold]x[/bold] and [/nope]")

    faults.run(fail)
    assert "got [bold]x[/bold] and [/nope]" in capsys.readouterr().err


def test_the_program_answers_as_a_process(spawn):
    assert spawn("version").out.startswith("gonogo ")
    assert spawn("-C", "/nosuch", "check").code == 2
