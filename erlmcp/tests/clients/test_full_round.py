"""The clients that people use do their full round with ``erlmcp serve`` and its two workers, and over stdio.

What each act is and what must be seen is in ``round_scenario``; which client lacks what, in ``round_lanes``.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from round_lanes import INSPECTOR, NODE, PYTHON
from round_node import Inspector
from round_python import DRIVERS, stdio_command
from round_scenario import HANDSHAKE, acts, faults

pytestmark = [
    pytest.mark.timeout(600),  # some start dozens of programs, which takes minutes on a busy machine
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


def lanes(of):
    pairs = [(lane, guest) for lane in of for guest in lane.guests]
    return pytest.mark.parametrize(
        ("lane", "guest"), pairs, ids=[f"{lane.name}-{guest}" for lane, guest in pairs]
    )


@pytest.fixture(autouse=True)
def guests_find_their_parts(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "guests"))


@lanes(PYTHON)
def test_a_python_client_does_its_full_round(lane, guest, served, tmp_path, wait_until):
    server, fate = served(guest), tmp_path / "fate"
    driver = DRIVERS[lane.client](lane.transport, lane.era, server.address(lane.transport), server.target)
    todo = acts(lane.era, guest, str(fate))
    seen = asyncio.run(driver.play(todo, frozenset(lane.lacks)))
    assert faults(todo, seen, lane.lacks) == []
    wait_until(lambda: fate.read_text() == "cancelled", "the tool has seen its cancellation")
    check_wire(server, lane, driver.wire.requests)
    assert server.errors() == []


@lanes(NODE)
def test_a_client_for_node_does_its_full_round(lane, guest, served, node, tmp_path, wait_until):
    server, fate = served(guest), tmp_path / "fate"
    todo = acts(lane.era, guest, str(fate))
    command = [sys.executable, *stdio_command(server.target)]
    address = server.address(lane.transport)
    doing = [act for act in todo if act.name not in lane.lacks]
    seen, wire = node.play(lane.client, lane.transport, lane.era, address, command, doing)
    assert faults(todo, seen, lane.lacks) == []
    wait_until(lambda: fate.read_text() == "cancelled", "the tool has seen its cancellation")
    check_wire(server, lane, wire)
    assert server.errors() == []


@lanes(INSPECTOR)
def test_the_command_line_of_the_inspector_does_its_round(lane, guest, served, node):
    server = served(guest)
    todo = acts(lane.era, guest, "")
    command = [sys.executable, *stdio_command(server.target)]
    inspector = Inspector(node, lane.transport, lane.era, server.address(lane.transport), command)
    doing = [act for act in todo if act.name not in lane.lacks]
    with ThreadPoolExecutor(2) as pool:
        seen = dict(zip([act.name for act in doing], pool.map(inspector.do, doing), strict=True))
    assert faults(todo, seen, lane.lacks) == []
    assert server.errors() == []


def check_wire(server, lane, requests):
    """The client came back to a stream that was closed, and has ended its session for good."""
    if lane.transport != "http" or lane.era != HANDSHAKE:
        return
    assert ("GET", 200) in [request[:2] for request in requests if request[3]], "it came back for the rest"
    method, status, session, _ = requests[-1]
    assert (method, status) == ("DELETE", 200)
    assert server.status_of_session(session) == 404
