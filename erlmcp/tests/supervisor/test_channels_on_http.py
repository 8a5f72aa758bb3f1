"""WebSocket and HTTP+SSE on a real server: several workers, a switch of generations, the end."""

import http.client
import json
import re
import signal
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

MESSAGE = {"jsonrpc": "2.0", "method": "notifications/initialized"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
WHO = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "who", "arguments": {}}}


class SseClient:
    """A stream, and POSTs each on a new connection, so that any worker may get them."""

    def __init__(self, url):
        parts = urlsplit(url)
        self._place = (parts.hostname, parts.port)
        self._http = http.client.HTTPConnection(*self._place, timeout=20)
        self._http.request("GET", "/sse", headers={"Accept": "text/event-stream"})
        self._stream = self._http.getresponse()
        self.address = self._event("endpoint")

    def _event(self, kind):
        fields = {}
        while line := self._stream.readline():
            if line == b"\n" and fields:
                assert fields["event"] == kind
                return fields["data"]
            name, _, value = line.decode().strip().partition(": ")
            if name in ("event", "data"):
                fields[name] = value
        return None

    def receive(self):
        data = self._event("message")
        return None if data is None else json.loads(data)

    def post(self, message):
        connection = http.client.HTTPConnection(*self._place, timeout=20)
        connection.request("POST", self.address, json.dumps(message), {"Content-Type": "application/json"})
        status = connection.getresponse().status
        connection.close()
        return status

    def close(self):
        self._http.close()


@pytest.fixture
def two_workers(serve):
    return serve("--workers", "2", env={"GUEST_VERSION": "1"}).started()


@pytest.mark.behaviour("workers.sse-post-anywhere", transport="sse", era="handshake")
def test_posts_of_the_old_transport_reach_their_stream_whatever_worker_takes_them(two_workers, until):
    clients = [SseClient(two_workers.url) for _ in range(4)]
    for client in clients:
        assert client.post(INITIALIZE) == 202
        assert client.receive()["id"] == 1
        assert client.post(MESSAGE) == 202
        workers = set()
        for _ in range(6):
            assert client.post(WHO) == 202
            workers.add(client.receive()["result"]["content"][0]["text"])
        assert len(workers) == 1, "the stream's worker serves all of it"
    two_workers.process.send_signal(signal.SIGTERM)
    assert [client.receive() for client in clients] == [None] * 4
    assert two_workers.wait() == 0
    for client in clients:
        client.close()


@pytest.mark.behaviour("drain.websocket-goes-away", transport="websocket", era="any")
def test_a_switch_and_the_end_close_websockets_with_going_away(two_workers, until):
    url = re.sub(r"^http(.*)/mcp$", r"ws\1/ws", two_workers.url)
    with connect(url, subprotocols=["mcp"], proxy=None) as client:
        client.send(json.dumps(INITIALIZE))
        assert json.loads(client.recv(20))["id"] == 1
        assert two_workers.stage("g2", env={"GUEST_VERSION": "2"}).status == 201
        assert two_workers.activate("g2").status == 200
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(20)
        assert closed.value.rcvd.code == 1001
    with connect(url, subprotocols=["mcp"], proxy=None) as client:
        client.send(json.dumps(INITIALIZE))
        assert json.loads(client.recv(20))["id"] == 1
        client.send(json.dumps(MESSAGE))
        client.send(json.dumps(WHO))
        assert json.loads(client.recv(20))["result"]["content"][0]["text"].endswith(" 2")
        two_workers.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(20)
        assert closed.value.rcvd.code == 1001
    assert two_workers.wait() == 0
