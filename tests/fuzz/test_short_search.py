"""A short search at every framing; ``make fuzz`` is the long one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from fuzz import __main__ as program
from fuzz import campaign, guided, mutate, shapes
from fuzz.sink import Sink
from fuzz.targets import ALL

ROOT = Path(__file__).parents[2]
INPUTS = {"json-rpc": 6_000, "lines": 1_500, "websocket": 1_500, "http": 2_000}


@pytest.mark.parametrize("name", ALL)
def test_some_thousand_hostile_inputs_find_nothing(name):
    outcome = campaign.search(name, INPUTS[name], seed=20_261_126, keep=lambda name, data, fault: fault)
    assert outcome.findings == []
    assert outcome.inputs == INPUTS[name]


@pytest.mark.parametrize("name", ALL)
def test_a_seed_gives_the_same_inputs_again_and_another_one_others(name):
    target = ALL[name]
    first, again, other = ([target.made(target, rng) for _ in range(50)] for rng in map(Random, (1, 1, 2)))
    assert first == again
    assert first != other
    assert max(map(len, first)) <= mutate.MAX_INPUT_BYTES


@pytest.mark.parametrize("corpus", [shapes.LINES, shapes.FRAMES, shapes.HTTP])
def test_cutting_loses_and_adds_nothing(corpus):
    rng = Random(3)
    for data in corpus:
        pieces = mutate.cut(data, rng)
        assert b"".join(pieces) == data
        assert all(pieces)


def test_the_whole_program_says_how_much_it_threw(capsys, monkeypatch):
    monkeypatch.setattr(program, "is_available", lambda: False)
    monkeypatch.chdir(ROOT)
    assert program.main(["--inputs", "900", "--target", "json-rpc", "--target", "http"]) == 0
    said = capsys.readouterr().out
    assert "no atheris" in said
    assert "900 inputs, 0 of them guided by coverage: 0 findings" in said


def test_a_search_that_dies_is_no_success(capsys, monkeypatch):
    monkeypatch.setattr(program, "is_available", lambda: False)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.chdir(ROOT)
    assert program.main(["--inputs", "10", "--target", "http"]) == 2
    assert "the search failed" in capsys.readouterr().err


def test_the_search_that_is_guided_by_coverage_runs_and_counts(tmp_path):
    if not guided.is_available():
        missing = "there is no atheris; make test and make fuzz bring it"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)  # what is tested there must not become less without a word
        pytest.skip(missing)
    outcome = tmp_path / "outcome"
    command = [sys.executable, "-W", "ignore", "-m", "fuzz.guided", "http", "300", str(outcome)]
    ran = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert outcome.is_file(), ran.stderr
    told = json.loads(outcome.read_text())
    assert (told["inputs"], told["findings"]) == (300, [])
    assert "INFO: Loaded" in ran.stderr or "cov:" in ran.stderr, "the code under fire is instrumented"


def test_the_sink_keeps_the_contract_of_a_transport():
    sink = Sink(loop=None, sock=None)
    sink.write(b"a")
    sink.pause_reading()
    assert not sink.can_deliver
    sink.resume_reading()
    sink.write_eof()
    with pytest.raises(RuntimeError, match="after the end"):
        sink.write(b"b")
    assert sink.out == b"a"
