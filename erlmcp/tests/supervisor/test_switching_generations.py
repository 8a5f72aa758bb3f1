"""The switch: a client that never retries calls without pause and must not notice it."""

from __future__ import annotations

import threading

import pytest

SWITCHES = 6


class Caller(threading.Thread):
    """Calls until told to stop, over one kept connection or a new one each time; counts what went wrong."""

    def __init__(self, server, *, keep: bool) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._keep = keep
        self._enough = threading.Event()
        self.answers: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        connection = self._server.connect()
        while not self._enough.is_set():
            try:
                self.answers.append(connection.call("who"))
            except Exception as fault:  # noqa: BLE001 - whatever goes wrong is counted
                self.failures.append(repr(fault))
                connection.close()
            if not self._keep:
                connection.close()
        connection.close()

    def finish(self) -> None:
        self._enough.set()
        self.join(10)


@pytest.mark.behaviour("handover.switch-without-a-failed-call", transport="http", era="modern")
def test_no_call_fails_while_generations_are_switched_there_and_back(serve, until):
    server = serve("--version-label", "1", "--workers", "1").started()
    assert server.stage("g2", version="2", env={"GUEST_VERSION": "2"}).status == 201
    callers = [Caller(server, keep=True), Caller(server, keep=True), Caller(server, keep=False)]
    for caller in callers:
        caller.start()
    elapsed = []
    for number in range(SWITCHES):
        seen = [len(caller.answers) for caller in callers]
        until(lambda seen=seen: all(len(c.answers) > n + 20 for c, n in zip(callers, seen, strict=True)))
        answer = server.activate("g2" if number % 2 == 0 else "g1")
        assert answer.status == 200, answer.body
        elapsed.append(answer.json["elapsed_s"])
    until(lambda: server.generation("g2")["state"] == "warm")
    for caller in callers:
        caller.finish()
    assert [caller.failures for caller in callers] == [[], [], []]
    served = {answer.split()[1] for caller in callers for answer in caller.answers}
    assert served == {"0", "2"}
    assert max(elapsed) < 1.0
    total = sum(len(caller.answers) for caller in callers)
    assert server.sample("erlmcp_requests_total", method="tools/call", outcome="ok") == total
    assert server.retire("g2").json["state"] == "gone"
    assert server.sample("erlmcp_requests_total", method="tools/call", outcome="ok") == total


def test_the_client_that_counts_failures_does_see_a_server_that_goes_away(serve, until):
    server = serve().started()
    caller = Caller(server, keep=False)
    caller.start()
    until(lambda: len(caller.answers) > 5)
    server.kill()
    until(lambda: caller.failures)
    caller.finish()


def test_a_running_call_ends_on_the_generation_where_it_began(serve, until):
    server = serve().started()
    server.stage("g2")
    connection = server.connect()
    connection.send("tools/call", {"name": "slow", "arguments": {"seconds": 0.6}})
    until(lambda: server.generation("g1")["in_flight"] == 1)
    assert server.activate("g2").status == 200
    assert server.generation("g1")["state"] == "draining"
    response = connection.http.getresponse()
    assert response.getheader("Connection") == "close"
    assert b"done" in response.read()
    until(lambda: server.generation("g1")["state"] == "warm")


def test_the_way_back_is_open_while_the_old_generation_still_drains(serve, until):
    server = serve().started()
    server.stage("g2")
    connection = server.connect()
    connection.send("tools/call", {"name": "slow", "arguments": {"seconds": 1.0}})
    until(lambda: server.generation("g1")["in_flight"] == 1)
    server.activate("g2")
    answer = server.activate("g1")
    assert (answer.status, answer.json["active"], answer.json["previous"]) == (200, "g1", "g2")
    assert b"done" in connection.http.getresponse().read()
    assert server.generation("g1")["state"] == "active"


def test_an_activation_that_is_not_confirmed_leaves_the_old_generation_accepting(server, until):
    staged = server.stage("stuck").json
    blocked = server.connect(staged["private_url"] + "/mcp")
    blocked.send("tools/call", {"name": "block", "arguments": {"seconds": 4.5}})
    until(lambda: ("stuck", "blocking") in [(e["generation"], e.get("text")) for e in server.events()])
    answer = server.activate("stuck")
    assert (answer.status, answer.json["error"]["id"]) == (503, "generations.not-accepting")
    assert {server.call("who").split()[1] for _ in range(3)} == {"0"}
    assert server.generation("g1")["state"] == "active"
    assert server.generation("stuck")["state"] == "staged"
    assert b"unblocked" in blocked.http.getresponse().read()
    before = server.sample("erlmcp_requests_total", generation="stuck")
    assert [server.call("who") for _ in range(5)]
    assert server.sample("erlmcp_requests_total", generation="stuck") == before, "it was told to stop again"
    assert server.activate("stuck").status == 200
    assert server.activate("g1").status == 200
    server.retire("stuck")


def test_two_activations_at_once_run_one_after_the_other(server):
    server.stage("rival")
    answers = []
    threads = [
        threading.Thread(target=lambda name=name: answers.append(server.activate(name)))
        for name in ("rival", "g1", "rival", "g1")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [answer.status for answer in answers] == [200] * 4
    assert all(answer.json["active"] != answer.json["previous"] for answer in answers)
    states = [server.generation(name)["state"] for name in ("rival", "g1")]
    assert states.count("active") == 1
    assert server.call("who")
    server.activate("g1")
    server.retire("rival")


@pytest.mark.behaviour("handover.session-goes-on", transport="http", era="handshake")
def test_a_session_of_one_generation_goes_on_in_the_next(serve):
    server = serve().started()
    connection = server.connect()
    client = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    session = connection.handshake("initialize", client, id=1).headers["mcp-session-id"]
    assert connection.handshake("notifications/initialized", {}, session).status == 202
    server.stage("g2", env={"GUEST_VERSION": "2"})
    server.activate("g2")
    server.retire("g1")
    fresh = server.connect()
    answer = fresh.handshake("tools/call", {"name": "who", "arguments": {}}, session, id=2)
    assert answer.status == 200
    assert b" 2" in answer.body
    changed = session[:-4] + ("AAAA" if session[-4:] != "AAAA" else "BBBB")
    assert fresh.handshake("tools/list", {}, changed, id=3).status == 404


def test_a_session_that_its_client_ended_stays_ended_in_every_worker_and_the_next_generation(serve, until):
    server = serve("--workers", "2").started()
    connection = server.connect()
    client = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    ended, other = (
        connection.handshake("initialize", client, id=1).headers["mcp-session-id"] for _ in range(2)
    )
    connection.http.request("DELETE", "/mcp", headers={"Mcp-Session-Id": ended})
    response = connection.http.getresponse()
    assert (response.status, response.read()) == (200, b"")

    def statuses(session):
        return {server.connect().handshake("tools/list", {}, session, id=2).status for _ in range(12)}

    until(lambda: statuses(ended) == {404})  # the other worker hears of it over the bus
    assert (statuses(ended), statuses(other)) == ({404}, {200})
    server.stage("g2", workers=2)
    server.activate("g2")
    server.retire("g1")
    assert (statuses(ended), statuses(other)) == ({404}, {200})


@pytest.mark.behaviour("handover.listener-hears-the-next", transport="http", era="modern")
def test_a_listener_on_one_generation_hears_a_change_made_in_another(serve):
    server = serve().started()
    other = server.stage("g2").json["private_url"]
    listener = server.connect()
    listener.send("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, request_id="sub")
    stream = listener.http.getresponse()
    assert b"acknowledged" in _next_data(stream)
    assert server.connect(other + "/mcp").call("announce") == "announced"
    assert b"notifications/tools/list_changed" in _next_data(stream)
    server.activate("g2")
    assert b'"resultType":"complete"' in _next_data(stream)
    listener.close()


def _next_data(stream) -> bytes:
    """The next event of a stream that carries data."""
    while line := stream.readline():
        if line.startswith(b"data:") and len(line) > len(b"data: \n"):
            return line.replace(b" ", b"")
    raise AssertionError("the stream ended")
