"""The bus between hosts: what its configuration may say, and where its password comes from."""

from __future__ import annotations

import sys

import pytest

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.keys import bus_password
from erlmcp.config.load import load
from erlmcp.config.schema import BusSettings
from erlmcp.supervisor.hosts import bus_access

KEYS = {"ERLMCP_SESSION_KEYS": "ab" * 32}
SECRET = "swordfish"


def error_of(act, *arguments) -> ErlmcpError:
    with pytest.raises(ErlmcpError) as caught:
        act(*arguments)
    assert SECRET not in caught.value.message + caught.value.hint
    return caught.value


def test_without_an_address_there_is_no_bus():
    assert bus_access(BusSettings(), {}) is None


@pytest.mark.parametrize(
    "url",
    ["redis://cache:6379/0", "rediss://erlmcp@cache:6380", "unix:///run/redis.sock", "redis://[::1]:1/2"],
)
def test_an_address_may_name_a_user_and_the_password_comes_from_elsewhere(url):
    access = bus_access(BusSettings(url=url), {**KEYS, "ERLMCP_BUS_PASSWORD": SECRET})
    assert access.password == SECRET
    assert access.settings.url == url
    assert SECRET not in repr(access)


@pytest.mark.parametrize(
    "url", [f"redis://:{SECRET}@cache/0", f"redis://u:{SECRET}@cache", f"redis://cache/0?password={SECRET}"]
)
def test_a_password_in_the_address_is_refused_and_not_shown(url):
    assert error_of(bus_access, BusSettings(url=url), KEYS).error_id == "config.password-in-url"
    effective = load(environ={"ERLMCP_BUS__URL": url})
    assert SECRET not in str(effective.shown())
    assert "***" in effective.shown()["bus.url"]["value"]


@pytest.mark.parametrize(
    "url", ["cache:6379", "http://cache", f"http://u:{SECRET}@cache", "unix://run/redis"]
)
def test_an_address_of_something_else_is_refused(url):
    assert error_of(lambda: load(environ={"ERLMCP_BUS__URL": url})).error_id == "config.bad-value"


def test_without_shared_session_keys_there_can_be_no_bus():
    settings = BusSettings(url="redis://cache")
    assert error_of(bus_access, settings, {}).error_id == "config.bus-needs-keys"


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    fault = error_of(bus_access, BusSettings(url="redis://cache"), KEYS)
    assert (fault.error_id, fault.hint) == ("config.redis-missing", "pip install 'erlmcp[redis]'")


def test_the_password_is_read_from_a_private_file(tmp_path):
    file = tmp_path / "password"
    environ = {"ERLMCP_BUS_PASSWORD_FILE": str(file), "ERLMCP_BUS_PASSWORD": "another"}
    assert error_of(bus_password, environ).error_id == "config.bus-password-file"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    assert bus_password(environ) == SECRET
    file.chmod(0o640)
    assert "0640" in error_of(bus_password, environ).message
    file.chmod(0o600)
    file.write_text("\n")
    assert "nothing in it" in error_of(bus_password, environ).message


@pytest.mark.parametrize("timeout_s", ["0.1", "60"])
def test_the_timeout_at_its_edges(timeout_s):
    assert load(environ={"ERLMCP_BUS__TIMEOUT_S": timeout_s}).settings.bus.timeout_s == float(timeout_s)
    beyond = "0.09" if timeout_s == "0.1" else "60.1"
    assert error_of(lambda: load(environ={"ERLMCP_BUS__TIMEOUT_S": beyond})).error_id == "config.bad-value"


def test_the_command_refuses_a_bus_without_keys(serve):
    server = serve(env={"ERLMCP_BUS__URL": "redis://127.0.0.1:1"})
    assert server.wait() == 2
    assert any(line.startswith("error[config.bus-needs-keys]:") for line in server.lines)
