"""``erlmcp serve --tcp``: its place in the pages, the workers, a switch of generations and the end."""

import json
import re
import signal
import socket

import pytest

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class LineClient:
    """A TCP connection of a client that retries nothing."""

    def __init__(self, port):
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._file = self._sock.makefile("rwb")

    def send(self, method, request_id, **params):
        body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": META}}
        self._file.write(json.dumps(body).encode() + b"\n")
        self._file.flush()

    def receive(self):
        line = self._file.readline()
        return json.loads(line) if line else None

    def who(self, request_id=1):
        self.send("tools/call", request_id, name="who", arguments={})
        return self.receive()["result"]["content"][0]["text"]

    def close(self):
        self._file.close()
        self._sock.close()


@pytest.fixture
def dial(serve):
    clients = []

    def connect(server):
        port = int(re.search(r"tcp 127.0.0.1:(\d+)", "\n".join(server.lines))[1])
        clients.append(LineClient(port))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.mark.behaviour("handover.tcp-moves-too", transport="tcp", era="modern")
def test_a_switch_moves_tcp_as_it_moves_http_and_the_end_closes_it(serve, dial, until):
    server = serve("--tcp", "127.0.0.1:0", "--workers", "2", env={"GUEST_VERSION": "1"}).started()
    places = {place["name"]: place for place in server.read("/listeners").json}
    assert places["tcp"]["loopback"] is True
    first, listener = dial(server), dial(server)
    assert first.who().endswith(" 1")
    listener.send("subscriptions/listen", "s", notifications={"toolsListChanged": True})
    assert listener.receive()["method"] == "notifications/subscriptions/acknowledged"
    until(lambda: server.generation("g1")["streams"] == 1)
    assert server.stage("g2", env={"GUEST_VERSION": "2"}).status == 201
    assert server.activate("g2").status == 200
    assert [listener.receive().get("id"), listener.receive()["id"], listener.receive()] == [None, "s", None]
    assert first.receive() is None, "an idle client is told by the end of its connection"
    again = dial(server)
    assert again.who().endswith(" 2")
    until(lambda: server.sample("erlmcp_requests_total", transport="tcp", method="tools/call") == 2)
    server.process.send_signal(signal.SIGTERM)
    assert again.receive() is None
    assert server.wait() == 0


@pytest.mark.behaviour("edge.tcp-is-loopback", transport="tcp", era="any")
def test_tcp_is_served_on_this_machine_only(serve):
    server = serve("--tcp", "0.0.0.0:0")
    assert server.wait() == 2
    assert any("error[listen.tcp-not-loopback]" in line for line in server.lines)
