"""Listening sockets: what is opened, what is refused, and what systemd hands over."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.schema import Settings
from erlmcp.supervisor import sockets
from erlmcp.supervisor.endpoints import Endpoints


def _open(control=None, http="127.0.0.1:0", admin="127.0.0.1:0", settings=None):
    return Endpoints.open(
        http=http, admin=admin, control=control, settings=settings or Settings(), environ={}
    )


def _refused(**arguments) -> ErlmcpError:
    with pytest.raises(ErlmcpError) as caught:
        _open(**arguments)
    return caught.value


@pytest.mark.parametrize("text", ["8080", "127.0.0.1", "127.0.0.1:", ":80", "h:-1", "h:65536", "h:x", "h:٣"])
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(ErlmcpError) as caught:
        sockets.parse_address(text, "--http")
    assert caught.value.error_id == "listen.bad-address"


def test_addresses_of_both_families_are_read():
    assert sockets.parse_address("127.0.0.1:0", "--http") == ("127.0.0.1", 0)
    assert sockets.parse_address("[::1]:65535", "--http") == ("::1", 65_535)


def test_only_addresses_of_this_machine_are_loopback():
    assert all(map(sockets.is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(sockets.is_loopback, ("0.0.0.0", "::", "192.0.2.1", "localhost.example")))


def test_an_open_endpoint_needs_a_declared_name_and_admin_is_never_open():
    assert _refused(http="0.0.0.0:0").error_id == "listen.not-loopback"
    assert _refused(admin="0.0.0.0:0").error_id == "admin.not-loopback"
    named = {"mcp": {"allowed_hosts": ["mcp.example.com"]}}
    assert _refused(http="0.0.0.0:0", settings=Settings.model_validate(named)).error_id == "listen.no-tls"
    by_whom = {**named, "tls": {"terminated_by_proxy": True}}
    assert _refused(http="0.0.0.0:0", settings=Settings.model_validate(by_whom)).error_id == "listen.no-tls"
    by_proxy = {**by_whom, "http": {"trusted_proxies": ["10.0.0.0/8"]}}
    assert _refused(http="0.0.0.0:0", settings=Settings.model_validate(by_proxy)).error_id == "listen.no-auth"
    for auth in ({"anonymous": True}, {"tokens_file": "tokens"}):
        declared = Settings.model_validate({**by_proxy, "auth": auth})
        _open(http="0.0.0.0:0", settings=declared).close()
    assert _refused(admin="0.0.0.0:0", settings=declared).error_id == "admin.not-loopback"
    endpoints = _open(http="0.0.0.0:0", settings=declared)
    assert endpoints.description()[0]["loopback"] is False
    endpoints.close()


def test_a_taken_port_is_refused_and_nothing_stays_open(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert _refused(http=address).error_id == "listen.in-use"
        assert _refused(admin=address, control=tmp_path / "c").error_id == "listen.in-use"
    assert not (tmp_path / "c").exists()


def test_the_control_socket_is_private_from_its_first_moment_and_removed_at_the_end(tmp_path):
    path = tmp_path / "control"
    endpoints = _open(control=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert endpoints.description()[-1] == {"name": "control", "address": str(path), "mode": "0600"}
    assert _refused(control=path).error_id == "control.in-use"
    endpoints.close()
    assert not path.exists()


def test_a_dead_control_socket_is_replaced_and_a_file_is_not(tmp_path):
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    _open(control=path).close()
    path.write_text("precious")
    assert _refused(control=path).error_id == "control.not-a-socket"
    assert path.read_text() == "precious"


def test_a_control_path_at_the_limit_is_taken_and_a_longer_one_is_refused(tmp_path):
    rest = sockets.MAX_PATH_BYTES - len(os.fsencode(tmp_path)) - 1
    _open(control=tmp_path / ("x" * rest)).close()
    assert _refused(control=tmp_path / ("x" * (rest + 1))).error_id == "control.bad-path"


def test_a_missing_folder_is_made_private_but_not_a_whole_path(tmp_path):
    _open(control=tmp_path / "run" / "c").close()
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert _refused(control=tmp_path / "none" / "such" / "c").error_id == "control.bad-path"


def test_a_successors_control_socket_is_not_removed_by_the_one_before(tmp_path):
    path = tmp_path / "control"
    first = _open(control=path)
    path.unlink()
    second = _open(control=path)
    first.close()
    assert path.exists()
    second.close()
