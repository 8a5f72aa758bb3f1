"""The operators' pages: what they say, and what they refuse."""

from __future__ import annotations

import pytest

import erlmcp

PAGES = [
    "/health",
    "/ready",
    "/metrics",
    "/config",
    "/listeners",
    "/generations",
    "/dashboard",
    "/dashboard/dashboard.css",
    "/dashboard/dashboard.js",
    "/dashboard/icon.svg",
]

_INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "0"},
}


def test_health_says_who_lives(server):
    health = server.read("/health").json
    assert health["service"] == "erlmcp"
    assert health["guest"] == {"name": "guest", "version": "0"}
    assert (health["generation"], health["version"]) == ("g1", "1.0.0")
    assert health["erlmcp_version"] == erlmcp.__version__
    assert health["pid"] == server.process.pid
    assert health["workers"] == 1


def test_ready_names_every_component(server):
    answer = server.read("/ready")
    assert (answer.status, answer.json["status"]) == (200, "ready")
    assert [(each["name"], each["status"]) for each in answer.json["components"]] == [
        ("http", "up"),
        ("workers", "up"),
        ("guest", "up"),
    ]


def test_a_server_whose_only_generation_was_drained_is_not_ready_and_can_be_again(serve, until):
    server = serve().started()
    assert server.act("POST", "/generations/g1/drain").status == 200
    until(lambda: server.generation("g1")["state"] == "warm")
    assert server.read("/ready").status == 503
    assert server.activate("g1").json["active"] == "g1"
    assert server.read("/ready").status == 200


def test_metrics_count_a_call_at_once(server):
    labels = {"generation": "g1", "method": "tools/call", "era": "modern", "outcome": "ok"}
    before = server.sample("erlmcp_requests_total", **labels)
    server.call("who")
    assert server.sample("erlmcp_requests_total", **labels) == before + 1
    assert server.sample("erlmcp_process_resident_memory_bytes", generation="g1") > 10_000_000
    assert server.sample("erlmcp_generation_info", generation="g1", version="1.0.0", state="active") == 1
    assert server.sample("erlmcp_build_info", version=erlmcp.__version__) == 1


def _calls(server, tool):
    return server.sample("erlmcp_tool_calls_total", tool=tool)


def test_metrics_count_the_calls_of_each_tool_and_no_name_that_a_client_made_up(serve):
    server = serve().started()
    server.call("who")
    server.call("slow", seconds=0.01)
    session = server.connect().handshake("initialize", _INITIALIZE, id=1).headers["mcp-session-id"]
    for name in ("who", "made-up"):
        server.connect().handshake("tools/call", {"name": name, "arguments": {}}, session, id=2)
    assert (_calls(server, "who"), _calls(server, "slow")) == (2, 1)
    assert (_calls(server, "made-up"), _calls(server, "other")) == (0, 1)
    timed = server.sample("erlmcp_tool_duration_seconds_sum", tool="slow")
    assert 0.01 <= timed < 5
    calls = server.sample("erlmcp_request_duration_seconds_count", method="tools/call")
    assert server.sample("erlmcp_tool_duration_seconds_count") == calls


def test_listeners_say_where_and_how_open(server):
    http, admin, control = server.read("/listeners").json
    assert http == {"name": "http", "address": server.url.split("/")[2], "loopback": True}
    assert admin == {"name": "admin", "address": server.admin.split("/")[2], "loopback": True}
    assert control == {"name": "control", "address": str(server.control), "mode": "0600"}


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_the_admin_listener_only_reads(server, path, method):
    answer = server.read(path, method)
    assert (answer.status, answer.json["error"]["id"]) == (405, "http.method-not-allowed")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/generations/evil"),
        ("POST", "/generations/g1/activate"),
        ("POST", "/generations/g1/drain"),
        ("DELETE", "/generations/g1"),
        ("PUT", "/log-level"),
    ],
)
def test_no_act_is_reachable_on_the_admin_listener(server, method, path):
    assert server.read(path, method).status == 404
    assert server.generation("g1")["state"] == "active"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "[::2]", "", "localhost.evil"])
def test_a_browser_lured_by_dns_reads_nothing(server, host):
    answer = server.read("/config", headers={"Host": host})
    assert answer.status in {400, 421}
    assert b"values" not in answer.body


@pytest.mark.parametrize("host", ["localhost", "localhost:9090", "127.0.0.1", "[::1]:80"])
def test_loopback_names_are_welcome(server, host):
    assert server.read("/health", headers={"Host": host}).status == 200


def test_an_unknown_page_is_a_fault_with_an_id(server):
    answer = server.read("/nothing")
    assert (answer.status, answer.json["error"]["id"]) == (404, "http.not-found")
