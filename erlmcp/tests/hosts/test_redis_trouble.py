"""Redis is slow, dies, comes back or refuses: requests do not notice, and nothing that matters is missed."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from redis import Redis

URI = "note://one"
SECRET = "swordfish-of-the-test"


def redis_client(url: str) -> Redis:
    return Redis.from_url(url)


def _stop(redis, how: str) -> None:
    redis.freeze() if how == "frozen" else redis.kill()


def _go_on(redis, how: str) -> None:
    redis.thaw() if how == "frozen" else redis.start()


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_while_redis_is_away_hosts_serve_and_afterwards_nothing_was_missed(pair, redis, tools, until, how):
    here, there = pair
    ended, session = tools.Session(here), tools.Session(here)
    assert session.ask(here, "resources/subscribe", uri=URI).status == 200
    assert ended.call(there, "who").status == 200
    listener = tools.listen(there, resourceSubscriptions=[URI], toolsListChanged=True)
    standing = session.stream(there)
    _stop(redis, how)
    until(lambda: all(tools.bus(each)["status"] == "down" for each in pair))
    for each in pair:
        ready = each.read("/ready")
        assert (ready.status, ready.json["status"]) == (200, "ready"), "a bus is no reason to send nobody"
        assert each.call("who")
        assert session.call(each, "who").status == 200
    assert here.call("change", uri=URI) == "changed"
    assert ended.delete(here) == 200
    _go_on(redis, how)
    until(lambda: all(tools.hears(each, 1) for each in pair))
    until(lambda: ended.call(there, "who").status == 404)
    for stream in (listener, standing):
        while tools.next_message(stream)["method"] != "notifications/resources/updated":
            pass
    moves = [line["event"] for line in there.events() if line["event"] in {"bus.up", "bus.down"}]
    assert moves[:3] == ["bus.up", "bus.down", "bus.up"]


def test_a_call_whose_client_is_at_another_host_survives_an_outage_of_redis(pair, redis, tools, until):
    here, there = pair
    session = tools.Session(here)
    away = session.begin(here, "go_away").http.getresponse()
    came = tools.last_id(away)
    back = session.stream(there, came)
    redis.kill()
    until(lambda: all(tools.bus(each)["status"] == "down" for each in pair))
    assert session.call(here, "release").status == 200
    redis.start()
    until(lambda: all(tools.hears(each, 1) for each in pair))
    assert b"data: {" not in back.read(), "the stream with a hole was ended"
    again = session.stream(there, came)
    assert tools.next_message(again)["params"]["message"] == "back"
    assert tools.next_message(again)["result"]["content"][0]["text"] == "done"


class Proxy:
    """A way to Redis that a test can block; what was on it is lost."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._sockets: set[socket.socket] = set()
        self._open()

    def _open(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _accept(self, listener) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=[source, sink], daemon=True).start()

    def _pump(self, source, sink) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def block(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()

    def unblock(self) -> None:
        self._open(self.port)


@pytest.fixture
def proxy(redis):
    found = Proxy(redis.port)
    yield found
    found.block()


def test_what_was_said_while_a_host_was_cut_off_is_made_good_when_it_is_back(
    host, redis, proxy, tools, until
):
    here = host().started()
    there = host(url=f"redis://127.0.0.1:{proxy.port}/0").started()
    until(lambda: tools.hears(here, 1) and tools.hears(there, 1))
    ended, session = tools.Session(here), tools.Session(here)
    assert session.ask(here, "resources/subscribe", uri=URI).status == 200
    assert ended.call(there, "who").status == 200
    listener = tools.listen(there, resourceSubscriptions=[URI], toolsListChanged=True)
    standing = session.stream(there)
    proxy.block()
    until(lambda: tools.bus(there)["status"] == "down" and tools.hears(here, 0))
    sent = here.sample("erlmcp_bus_events_total", fate="sent")
    assert here.call("change", uri=URI) == "changed"
    assert ended.delete(here) == 200
    until(lambda: here.sample("erlmcp_bus_events_total", fate="sent") >= sent + 2)
    assert ended.call(there, "who").status == 200, "nothing of it has come"
    proxy.unblock()
    until(lambda: ended.call(there, "who").status == 404)
    for stream in (listener, standing):
        while tools.next_message(stream)["method"] != "notifications/resources/updated":
            pass


def test_no_request_is_slower_because_redis_does_not_answer(pair, redis, tools, until):
    here, _ = pair
    redis.freeze()
    connection = here.connect()
    for _ in range(200):
        assert connection.call("change", uri=URI) == "changed"
    slow = here.sample("erlmcp_request_duration_seconds_bucket", method="tools/call", le="0.25")
    assert slow == here.sample("erlmcp_request_duration_seconds_count", method="tools/call")
    redis.thaw()


def test_a_server_starts_without_redis_and_joins_when_it_is_there(host, redis, tools, until):
    redis.kill()
    server = host().started()
    assert server.call("who")
    assert server.read("/ready").status == 200
    until(lambda: "down" in tools.bus(server)["detail"] and "Error" in tools.bus(server)["detail"])
    redis.start()
    until(lambda: tools.hears(server, 0))


def test_a_password_comes_from_the_environment_and_is_shown_nowhere(host, secured_redis, tools, until):
    server = host(url=secured_redis.url, env={"ERLMCP_BUS_PASSWORD": SECRET}, target="guest:server").started()
    until(lambda: tools.hears(server, 0))
    assert server.call("environment", name="ERLMCP_BUS_PASSWORD") == "unset"
    shown = "".join(server.lines) + server.read("/config").body.decode() + server.read("/ready").body.decode()
    assert SECRET not in shown


def test_a_password_comes_from_a_private_file(host, secured_redis, tools, until, tmp_path):
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    server = host(url=secured_redis.url, env={"ERLMCP_BUS_PASSWORD_FILE": str(file)}).started()
    until(lambda: tools.hears(server, 0))


def test_the_least_rights_that_the_guide_names_are_enough(host, redis, tools, until):
    with redis_client(redis.url) as client:
        client.execute_command(
            *f"ACL SETUSER least on >{SECRET} resetchannels &erlmcp:bus:1 -@all +subscribe +publish".split()
        )
    url = redis.url.replace("redis://", "redis://least@")
    servers = [host(url=url, env={"ERLMCP_BUS_PASSWORD": SECRET}).started() for _ in range(2)]
    until(lambda: all(tools.hears(each, 1) for each in servers))
    narrow = host(url=url, env={"ERLMCP_BUS_PASSWORD": SECRET, "ERLMCP_BUS__NAME": "another"}).started()
    until(lambda: "NoPermission" in tools.bus(narrow)["detail"])


def test_a_wrong_password_is_told_and_not_shown(host, secured_redis, tools, until):
    server = host(url=secured_redis.url, env={"ERLMCP_BUS_PASSWORD": "wrong-one"}).started()
    until(lambda: "AuthenticationError" in tools.bus(server)["detail"])
    assert server.call("who")
    assert "wrong-one" not in "".join(server.lines) + server.read("/ready").body.decode()
