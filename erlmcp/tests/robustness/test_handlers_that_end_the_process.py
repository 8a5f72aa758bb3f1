"""A handler ends its process: its client sees the connection close, and everybody else is served on."""

from __future__ import annotations

from contextlib import suppress

import pytest

EXITS = ("exit", "kill", "terminate-all", "crash")
STATUSES = {"exit": 7, "kill": -9, "terminate-all": -6, "crash": -11}


@pytest.mark.parametrize("tool", ["exits", "exits_in_a_thread"])
@pytest.mark.parametrize("kind", EXITS)
def test_however_a_process_ends_its_worker_is_replaced_and_the_other_serves_on(
    unruly, until, ended, kind, tool
):
    server = unruly("on_sdk", "--workers", "2")
    culprit = server.client()
    pid = culprit.text("who")
    other = server.at(pid, same=False)
    survivor = other.text("who")
    other.send("tools/call", name="hangs", arguments={"seconds": 1.0})
    culprit.send("tools/call", name=tool, arguments={"kind": kind})
    with pytest.raises(ended):
        culprit.receive()
    assert other.receive()["result"]["content"][0]["text"] == "done"
    assert other.text("who") == survivor
    (died,) = until(lambda: server.logged("worker.died"))
    assert (str(died["worker"]), died["status"], died["stuck"]) == (pid, STATUSES[kind], False)
    workers = until(lambda: len(now := server.server.generation("g1")["workers"]) == 2 and now)
    assert int(pid) not in workers


@pytest.mark.parametrize("guest", ["on_lowlevel", "on_fastmcp"])
def test_guests_of_other_kinds_are_replaced_too(unruly, ended, guest):
    server = unruly(guest)
    culprit = server.client()
    pid = culprit.text("who")
    culprit.send("tools/call", name="exits", arguments={"kind": "exit"})
    with pytest.raises(ended):
        culprit.receive()
    assert server.client().text("who") != pid


@pytest.mark.behaviour("death.connection-closes-and-worker-is-replaced")
def test_on_every_transport_the_client_sees_the_end_and_the_next_one_is_served(unruly, ended, served_cell):
    server = unruly()
    culprit, neighbour = server.client(*served_cell), server.client("tcp", "modern")
    pid = culprit.text("who")
    neighbour.send("tools/call", name="hangs", arguments={"seconds": 60})
    culprit.send("tools/call", name="exits", arguments={"kind": "kill"})
    for client in (culprit, neighbour):
        with pytest.raises(ended):
            client.receive()
    assert server.client(*served_cell).text("who") != pid


@pytest.mark.behaviour("death.stdio-ends", transport="stdio")
@pytest.mark.parametrize("era", ["modern", "handshake"])
def test_over_stdio_the_output_ends_and_so_does_the_process(unruly, ended, era):
    client = unruly().client("stdio", era)
    client.send("tools/call", name="exits", arguments={"kind": "exit"})
    with pytest.raises(ended):
        client.receive()
    assert client.process.wait(10) == 7


def test_a_task_of_the_guests_own_that_raises_system_exit_ends_the_worker_which_is_replaced(
    unruly, until, ended
):
    """asyncio ends its loop with it; whether the call was answered before is a matter of one turn."""
    server = unruly()
    client = server.client()
    pid = client.text("who")
    client.send("tools/call", name="exits_in_a_task")
    with suppress(ended):
        assert client.receive()["error"]["code"] == -32603
    assert until(lambda: server.logged("worker.died"))[0]["status"] == 3
    assert server.client().text("who") != pid


@pytest.mark.behaviour("death.crash-is-told", transport="http", era="any")
def test_a_crash_of_the_interpreter_leaves_its_place_in_the_log(unruly, until, ended):
    server = unruly()
    client = server.client()
    client.send("tools/call", name="exits", arguments={"kind": "crash"})
    with pytest.raises(ended):
        client.receive()
    texts = until(
        lambda: [text for line in server.server.events() if "in crash" in (text := line.get("text", ""))]
    )
    assert "misdeeds.py" in texts[0]


@pytest.mark.behaviour("death.session-outlives-the-worker", transport="http", era="handshake")
def test_a_session_of_the_handshake_era_outlives_the_worker_that_was_killed(unruly, ended):
    server = unruly()
    client = server.client("http", "handshake")
    pid = client.text("who")
    client.send("tools/call", name="exits", arguments={"kind": "kill"})
    with pytest.raises(ended):
        client.receive()
    client.reconnect()
    assert client.text("who") != pid
