"""What the full round must find: faults of a server, acts that were not done, claims that do not hold."""

import asyncio
import sys
from pathlib import Path

import pytest
from round_python import DRIVERS, stdio_command
from round_scenario import HANDSHAKE, MODERN, UNTOLD, Act, OneOf, acts, agrees, faults

pytestmark = [
    pytest.mark.timeout(600),  # as the full round
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

GUESTS = Path(__file__).parent / "guests"
BROKEN = {"call-ok", "progress", "list-resources"}


@pytest.fixture
def broken(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(GUESTS))
    return f"{GUESTS / 'round_broken.py'}:server"


def names(found):
    return {line.partition(":")[0] for line in found}


@pytest.mark.parametrize("client", ["sdk", "fastmcp"])
def test_a_python_client_finds_exactly_what_is_broken(client, broken, tmp_path):
    todo = acts(HANDSHAKE, "round_sdk", str(tmp_path / "fate"))
    seen = asyncio.run(DRIVERS[client]("stdio", HANDSHAKE, "", broken).play(todo, frozenset()))
    assert names(faults(todo, seen, ())) == BROKEN


@pytest.mark.parametrize("client", ["sdk1", "sdk2"])
def test_a_client_for_node_finds_exactly_what_is_broken(client, broken, node, tmp_path):
    todo = acts(HANDSHAKE, "round_sdk", str(tmp_path / "fate"))
    command = [sys.executable, *stdio_command(broken)]
    seen, _ = node.play(client, "stdio", HANDSHAKE, "", command, todo)
    assert names(faults(todo, seen, ())) == BROKEN


def test_an_act_that_is_not_done_or_should_be_impossible_is_a_fault():
    todo = [Act("one", "call", 1), Act("two", "call", 2), Act("three", "call", 3)]
    assert faults(todo, {"one": 1, "two": 2, "three": 3}, ()) == []
    assert faults(todo, {"one": 1, "three": 3}, ()) == ["two: not done"]
    assert names(faults(todo, {"one": 1, "two": 2, "three": 4}, ["two"])) == {"two", "three"}


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        (1, True),
        (1, "1"),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {}),
        (OneOf((1, 2)), 3),
        ({"refused": -32602}, {"refused": -32603}),
        ({"text": "a"}, {"fault": "Error"}),
    ],
)
def test_what_is_not_the_same_does_not_agree(expected, seen):
    assert not agrees(expected, seen)


def test_what_a_client_keeps_from_its_user_cannot_be_held_against_the_server():
    assert agrees({"refused": -32602}, {"refused": UNTOLD})


@pytest.mark.parametrize("era", [HANDSHAKE, MODERN])
@pytest.mark.parametrize("guest", ["round_sdk", "round_fastmcp"])
def test_every_act_has_a_name_of_its_own(era, guest):
    named = [act.name for act in acts(era, guest, "")]
    assert len(set(named)) == len(named) > 25
    assert (GUESTS / f"{guest}.py").is_file()
