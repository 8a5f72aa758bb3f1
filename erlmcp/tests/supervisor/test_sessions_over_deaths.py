"""Sessions outlive the workers that serve them, and nobody waits for a worker that has died."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

TARGET = f"{Path(__file__).parent / 'guests' / 'sessions.py'}:server"
ATTEMPTS = 60
URI = "note://one"


class Client:
    """One session, over as many connections as a test wants."""

    def __init__(self, server) -> None:
        self._server = server
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"roots": {}},
            "clientInfo": {"name": "t", "version": "1"},
        }
        self.session = server.connect().handshake("initialize", params, id=1).headers["mcp-session-id"]

    def ask(self, connection, method, **params):
        return connection.handshake(method, params, self.session, id=2)

    def call(self, connection, tool, **arguments):
        return self.ask(connection, "tools/call", name=tool, arguments=arguments)

    def worker_of(self, connection) -> int:
        return int(self.call(connection, "who").json["result"]["content"][0]["text"])

    def connection_to(self, other_than: int | None = None):
        """A connection, and the worker that has accepted it."""
        for _ in range(ATTEMPTS):
            connection = self._server.connect()
            worker = self.worker_of(connection)
            if worker != other_than:
                return connection, worker
            connection.close()
        raise AssertionError("only one worker accepts")

    def send(self, connection, method, **params) -> None:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Mcp-Session-Id": self.session,
        }
        body = {"jsonrpc": "2.0", "id": "call", "method": method, "params": params}
        connection.http.request("POST", "/mcp", json.dumps(body), headers)

    def stream(self, connection, last_event_id: str = ""):
        """The answer to a GET, open."""
        headers = {"Accept": "text/event-stream", "Mcp-Session-Id": self.session}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        connection.http.request("GET", "/mcp", headers=headers)
        return connection.http.getresponse()

    def delete(self) -> int:
        connection = self._server.connect()
        connection.http.request("DELETE", "/mcp", headers={"Mcp-Session-Id": self.session})
        return connection.http.getresponse().status


def next_message(stream):
    """The next JSON-RPC message of an event stream."""
    while line := stream.readline():
        if line.startswith(b"data: {"):
            return json.loads(line[6:])
    raise AssertionError("the stream has ended")


def last_id(stream) -> str:
    """The id of the last event of a stream that ends."""
    ids = [line[4:].strip().decode() for line in stream.read().splitlines() if line.startswith(b"id: ")]
    return ids[-1]


def test_a_call_that_is_read_at_another_worker_ends_with_an_error_when_its_own_dies(serve):
    server = serve("--workers", "2", target=TARGET).started()
    client = Client(server)
    here, worker = client.connection_to()
    there, _ = client.connection_to(other_than=worker)
    client.send(here, "tools/call", name="stay_away", arguments={}, _meta={"progressToken": "p"})
    away = here.http.getresponse()
    back = client.stream(there, last_id(away))
    assert back.status == 200
    os.kill(worker, signal.SIGKILL)
    lost = next_message(back)
    assert (lost["id"], lost["error"]["code"]) == ("call", -32603)
    assert lost["error"]["data"] == {"cause": "worker-died"}
    assert back.read().strip() == b"", "the stream is over"
    assert client.call(server.connect(), "who").status == 200, "the session is not"


def test_a_question_on_the_stream_of_a_worker_that_dies_fails_at_once(serve):
    server = serve("--workers", "2", target=TARGET).started()
    client = Client(server)
    here, worker = client.connection_to()
    there, _ = client.connection_to(other_than=worker)
    stream = client.stream(here)
    client.send(there, "tools/call", name="count_roots", arguments={})
    assert next_message(stream)["method"] == "roots/list"
    os.kill(worker, signal.SIGKILL)
    answer = json.loads(there.http.getresponse().read())
    assert "has died" in json.dumps(answer), answer
    again = client.stream(server.connect())
    client.send(there, "tools/call", name="count_roots", arguments={})
    question = next_message(again)
    reply = server.connect()
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Mcp-Session-Id": client.session,
    }
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"roots": [{"uri": "file:///a"}]}}
    reply.http.request("POST", "/mcp", json.dumps(answer), headers)
    assert reply.http.getresponse().status == 202
    assert json.loads(there.http.getresponse().read())["result"]["content"][0]["text"] == "1"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_subscriptions_and_ends_of_sessions_outlive_every_worker(serve, until, workers):
    server = serve("--workers", workers, target=TARGET).started()
    client, ended = Client(server), Client(server)
    assert client.ask(server.connect(), "resources/subscribe", uri=URI).status == 200
    assert ended.delete() == 200
    before = server.generation("g1")["workers"]
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    until(
        lambda: (
            (now := server.generation("g1")["workers"])
            and not {*now} & {*before}
            and len(now) == int(workers)
        )
    )
    assert ended.call(server.connect(), "who").status == 404
    stream = client.stream(server.connect())
    for _ in range(4):
        assert client.call(server.connect(), "change", uri=URI).status == 200
    told = [next_message(stream) for _ in range(4)]
    assert {(each["method"], each["params"]["uri"]) for each in told} == {
        ("notifications/resources/updated", URI)
    }
