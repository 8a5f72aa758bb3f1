"""Session keys that change while the server runs: sessions go on everywhere until their key is gone."""

from __future__ import annotations

import secrets

import pytest

CLIENT = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "t", "version": "1"},
}
WHO = {"name": "who", "arguments": {}}
SOME = 12
"""Requests over new connections: enough to meet both workers."""


class KeysFile:
    """What the operator keeps."""

    def __init__(self, path) -> None:
        self.path = path
        self.old, self.new = secrets.token_hex(32), secrets.token_hex(32)

    def hold(self, *keys: str) -> None:
        self.path.write_text("\n".join(keys) + "\n")
        self.path.chmod(0o600)

    @property
    def env(self) -> dict[str, str]:
        return {"ERLMCP_SESSION_KEYS_FILE": str(self.path)}


@pytest.fixture
def keys(tmp_path):
    file = KeysFile(tmp_path / "session.keys")
    file.hold(file.old)
    return file


def change(server):
    return server.act("POST", "/session-keys/change")


def begin(connection) -> str:
    return connection.handshake("initialize", CLIENT, id=1).headers["mcp-session-id"]


def statuses(server, session: str) -> set[int]:
    found = set()
    for _ in range(SOME):
        connection = server.connect()
        found.add(connection.handshake("tools/call", WHO, session, id=2).status)
        connection.close()
    return found


def test_an_old_session_lives_through_a_change_of_keys_and_ends_when_its_key_is_dropped(serve, keys):
    server = serve("--workers", "2", env=keys.env).started()
    kept = server.connect()
    old = begin(kept)
    assert kept.handshake("tools/call", WHO, old, id=2).status == 200
    keys.hold(keys.new, keys.old)
    answer = change(server)
    assert (answer.status, len(answer.json["keys"])) == (200, 2)
    new = begin(server.connect())
    assert statuses(server, old) == statuses(server, new) == {200}
    keys.hold(keys.new)
    names = change(server).json["keys"]
    assert names == answer.json["keys"][:1]
    assert statuses(server, new) == {200}
    assert statuses(server, old) == {404}
    lost = kept.handshake("tools/call", WHO, old, id=3)  # this connection has known the session for long
    assert (lost.status, lost.json["error"]["code"]) == (404, -32600)
    shown = "".join(server.lines) + answer.body.decode()
    assert not any(key in shown for key in (keys.old, keys.new))


def test_new_sessions_are_sealed_with_the_first_key(serve, keys):
    server = serve(env=keys.env).started()
    keys.hold(keys.new, keys.old)
    assert change(server).status == 200
    session = begin(server.connect())
    keys.hold(keys.old)
    assert change(server).status == 200
    assert statuses(server, session) == {404}, "it was sealed with the other key"


def test_a_worker_that_starts_after_a_change_has_the_new_keys(serve, keys, until):
    server = serve(env=keys.env).started()
    keys.hold(keys.new, keys.old)
    change(server)
    session = begin(server.connect())
    server.stage("g2")
    server.activate("g2")
    server.retire("g1")
    assert statuses(server, session) == {200}


def test_no_call_of_a_session_fails_while_keys_change_again_and_again(serve, keys):
    server = serve("--workers", "2", env=keys.env).started()
    session = begin(server.connect())
    for order in [(keys.new, keys.old), (keys.old, keys.new)] * 3:
        keys.hold(*order)
        assert change(server).status == 200
        assert statuses(server, begin(server.connect())) == statuses(server, session) == {200}


def test_a_worker_that_does_not_confirm_is_told_of_and_no_session_is_lost(serve, keys, until):
    server = serve(env=keys.env).started()
    session = begin(server.connect())
    blocked = server.connect()
    blocked.send("tools/call", {"name": "block", "arguments": {"seconds": 4.0}})
    until(lambda: any(line.get("text") == "blocking" for line in server.events()))
    keys.hold(keys.new)
    answer = change(server)
    assert (answer.status, answer.json["error"]["id"]) == (504, "keys.unconfirmed")
    assert b"unblocked" in blocked.http.getresponse().read()
    assert statuses(server, session) == {200}
    assert change(server).status == 200
    assert statuses(server, session) == {404}


@pytest.mark.parametrize("content", ["", "not-a-key", "ab" * 31], ids=["empty", "no key", "too short"])
def test_a_file_that_holds_no_good_key_changes_nothing(serve, keys, content):
    server = serve(env=keys.env).started()
    session = begin(server.connect())
    keys.hold(content)
    answer = change(server)
    assert answer.status == 400
    assert answer.json["error"]["id"] in {"config.session-keys-file", "config.bad-session-key"}
    assert statuses(server, session) == {200}


def test_keys_that_are_not_in_a_file_cannot_be_read_again(server):
    answer = change(server)
    assert (answer.status, answer.json["error"]["id"]) == (409, "keys.no-file")
