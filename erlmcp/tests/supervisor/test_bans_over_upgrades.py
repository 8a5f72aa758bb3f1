"""Who is banned stays so when the workers that banned him are gone."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

ENV = {"ERLMCP_LIMITS__LOOPBACK": "true", "ERLMCP_LIMITS__BAN_AFTER": "1", "ERLMCP_LIMITS__BAN_S": "600"}

FIELDS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@pytest.fixture
def banned(serve):
    """A server that has shut out this machine."""
    server = serve(env=ENV).started()
    assert any(is_shut_out(server) for _ in range(10))
    return server


def is_shut_out(server):
    """Whether a connection is closed without an answer; each attempt is an offence."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request("POST", "/mcp", body=b"{", headers=FIELDS)
        return connection.getresponse().status == 0
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        return True
    finally:
        connection.close()


def test_a_ban_outlives_an_upgrade(banned):
    banned.stage("g2", version="2")
    assert banned.activate("g2").status == 200
    assert banned.retire("g1").status == 200
    assert is_shut_out(banned)
    assert banned.sample("erlmcp_rejected_total", generation="g2", reason="ban") == 0, "it was told"
