"""Sockets that systemd hands over (LISTEN_FDS): served, and judged by the rules of those that we open."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from erlmcp.config.errors import ErlmcpError
from erlmcp.supervisor import sockets

ACTIVATION = Path(__file__).parents[1] / "socket_activation.py"
NAMED = {"ERLMCP_MCP__ALLOWED_HOSTS": "mcp.example.com"}
BEHIND_PROXY = {
    **NAMED,
    "ERLMCP_TLS__TERMINATED_BY_PROXY": "true",
    "ERLMCP_HTTP__TRUSTED_PROXIES": "10.0.0.0/8",
    "ERLMCP_AUTH__ANONYMOUS": "true",
}


@pytest.fixture
def activated(serve):
    """Start a server that inherits these sockets."""
    return lambda *where, env=None: serve(
        prefix=[sys.executable, str(ACTIVATION), *where, "--"], env={**(env or {})}
    )


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_an_inherited_socket_that_others_reach_is_refused_as_one_that_we_would_open(activated, address):
    for env, error_id in ((None, "listen.not-loopback"), (NAMED, "listen.no-tls")):
        refused = activated(address, env=env)
        assert refused.wait() == 2
        assert [line for line in refused.lines if line.startswith(f"error[{error_id}]")], refused.lines


def test_an_inherited_socket_that_others_reach_is_served_once_that_is_declared(activated):
    server = activated("0.0.0.0:0", env=BEHIND_PROXY).started()
    public = next(each for each in server.read("/listeners").json if each["name"] == "http")
    assert public["loopback"] is False
    server.url = server.url.replace("0.0.0.0", "127.0.0.1")
    assert server.call("who")


def test_the_socket_for_mcp_is_the_one_with_that_name(activated, tmp_path):
    server = activated("other=0.0.0.0:0", "http=127.0.0.1:0").started()
    assert server.url.startswith("http://127.0.0.1:")
    assert server.call("who")


@pytest.mark.parametrize(
    "where",
    [
        ("127.0.0.1:0", "[::1]:0"),
        ("http=127.0.0.1:0", "http=[::1]:0"),
        ("/UNIX",),
    ],
    ids=["two without names", "two of one name", "Unix"],
)
def test_sockets_of_which_some_would_never_be_answered_are_refused(activated, tmp_path, where):
    refused = activated(*(each.replace("/UNIX", str(tmp_path / "socket")) for each in where))
    assert refused.wait() == 2
    assert [line for line in refused.lines if line.startswith("error[listen.bad-socket]")], refused.lines


def test_a_socket_that_systemd_opened_is_served_and_stays_open_for_the_next(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    (tmp_path / "systemd.py").write_text(
        "import os, sys\n"
        "os.dup2(int(sys.argv[1]), 3)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'erlmcp.cli.main', *sys.argv[2:]])\n"
    )
    (tmp_path / "guest.py").write_text("from mcp.server import MCPServer\nserver = MCPServer('handed')\n")
    command = [sys.executable, "systemd.py", str(listener.fileno()), "serve", "guest:server"]
    process = subprocess.Popen(
        [*command, "--admin", "127.0.0.1:0"],
        cwd=tmp_path,
        pass_fds=[listener.fileno()],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = next(line for line in process.stderr if line.startswith(("erlmcp ", "error")))
        assert f"mcp http://127.0.0.1:{port}/mcp" in line
    finally:
        process.terminate()
        process.communicate(timeout=15)
    assert process.returncode == 0
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        pass  # the socket is the system's: it still takes connections for whoever comes next
    listener.close()


def test_an_inherited_descriptor_is_taken_by_its_name_only_if_it_listens_and_is_for_us():
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    assert sockets.inherited_http({**environ, "LISTEN_PID": "1"}) is None
    for count in ("0", "", "x"):
        assert sockets.inherited_http({**environ, "LISTEN_FDS": count}) is None
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as idle:
        names = {**environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "other:http"}
        number = os.dup(listener.fileno())
        taken = sockets.inherited_http(names, first_descriptor=number - 1)
        assert taken.getsockname() == listener.getsockname()
        taken.close()
        for wrong in (os.dup(idle.fileno()), os.open("/dev/null", os.O_RDONLY)):
            with pytest.raises(ErlmcpError) as caught:
                sockets.inherited_http(environ, first_descriptor=wrong)
            assert caught.value.error_id == "listen.bad-socket"
            os.close(wrong)


def test_a_generation_cannot_open_to_everybody_what_the_server_does_not(activated):
    server = activated("0.0.0.0:0", env=BEHIND_PROXY).started()
    for config, error_id in (
        ({"auth.anonymous": False}, "listen.no-auth"),
        ({"http.trusted_proxies": []}, "listen.no-tls"),
        ({"mcp.allowed_hosts": []}, "listen.not-loopback"),
    ):
        answer = server.stage("open", config=config)
        assert (answer.status, answer.json["error"]["id"]) == (400, error_id)
