"""``erlmcp serve`` with [tls]: the start, renewal under load, upgrades, workers that die, and the pages."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from authority import Authority

AUTHORITY = Authority()
SURE = 40
"""New connections in a row that must see the same: with two workers, both are among them."""


@pytest.fixture
def tls(serve, tmp_path):
    """Start servers whose certificate stands in ``tmp_path`` and is looked at ten times a second."""

    def start(*arguments, issued=None, settings="", **options):
        certificate, key = (issued or AUTHORITY.issue()).write(tmp_path)
        config = tmp_path / "erlmcp.toml"
        config.write_text(
            f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\nreload_interval_s = 0.1\n{settings}'
        )
        server = serve("--config", str(config), *arguments, **options)
        server.tls = AUTHORITY.client_context()
        return server

    return start


@pytest.fixture
def cli(tmp_path):
    """Run a command in ``tmp_path``."""

    def run(*arguments):
        command = [sys.executable, "-m", "erlmcp.cli.main", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    return run


def connect(server, port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    return server.tls.wrap_socket(sock, server_hostname="localhost")


def shown(server, port=None):
    """The serial number of the certificate that a new client is shown."""
    port = port or int(server.url.rsplit(":", 1)[1].split("/")[0])
    with connect(server, port) as inside:
        return int(inside.getpeercert()["serialNumber"], 16)


def all_see(server, serial):
    return all(shown(server) == serial for _ in range(SURE))


class Caller(threading.Thread):
    """Calls until told to stop, over one kept connection or a new one each time; it never retries."""

    def __init__(self, server, *, keep):
        super().__init__(daemon=True)
        self.server, self.keep = server, keep
        self.enough = threading.Event()
        self.answers, self.failures = [], []

    def run(self):
        connection = self.server.connect()
        while not self.enough.is_set():
            try:
                self.answers.append(connection.call("who").split()[1])
            except Exception as fault:  # noqa: BLE001 - whatever goes wrong is counted
                self.failures.append(repr(fault))
                connection.close()
            if not self.keep:
                connection.close()
        connection.close()

    def finish(self):
        self.enough.set()
        self.join(20)


@pytest.fixture
def callers():
    """A function that lets clients call without pause; they end with the test."""
    running = []

    def start(server):
        running.extend(Caller(server, keep=keep) for keep in (True, False, False))
        for caller in running:
            caller.start()
        return running

    yield start
    for caller in running:
        caller.finish()


def test_https_is_announced_and_the_pages_show_what_they_did_and_the_expiry(tls):
    issued = AUTHORITY.issue()
    server = tls("--tcp", "127.0.0.1:0", issued=issued).started()
    assert server.url.startswith("https://127.0.0.1:")
    assert server.call("says", text="hello") == "said"
    assert server.read("/health").json["status"] == "alive"
    assert [set(place) for place in server.read("/listeners").json[:2]] == [
        {"name", "address", "loopback"}
    ] * 2
    expiry = server.sample("erlmcp_tls_certificate_expiry_timestamp_seconds")
    assert expiry == issued.chain[0].not_valid_after_utc.timestamp()
    assert server.read("/config").json["values"]["tls.key"]["value"] == "***"
    assert "PRIVATE KEY" not in "\n".join(server.lines)
    private = server.generation("g1")["private_url"]
    assert private.startswith("http://127.0.0.1:")
    plain = server.connect(private + "/mcp")
    assert plain.call("says", text="checked before it is switched to") == "said"
    plain.close()
    assert server.stop() == 0


def test_without_tls_there_is_no_metric_of_it(server):
    assert b"erlmcp_tls" not in server.read("/metrics").body


def test_renewal_under_load_fails_no_call_and_reaches_every_worker(tls, callers, until):
    server = tls("--workers", "2").started()
    running = callers(server)
    until(lambda: all(len(caller.answers) > 20 for caller in running))
    for number in range(1, 4):
        renewed = AUTHORITY.issue()
        renewed.write(server.folder.parent)
        until(lambda renewed=renewed: all_see(server, renewed.serial), 30)
        until(lambda n=number: _renewals(server, "taken-over") >= n)
        seen = [len(caller.answers) for caller in running]
        until(lambda seen=seen: all(len(c.answers) > n + 20 for c, n in zip(running, seen, strict=True)))
    for caller in running:
        caller.finish()
    assert [caller.failures for caller in running] == [[], [], []]
    expiry = server.sample("erlmcp_tls_certificate_expiry_timestamp_seconds")
    assert expiry == renewed.chain[0].not_valid_after_utc.timestamp()


def test_the_callers_do_see_a_certificate_that_nobody_believes(tls, callers, until):
    """Control of the test above: a renewal that clients refuse is counted by them as failed calls."""
    server = tls().started()
    running = callers(server)
    until(lambda: all(len(caller.answers) > 5 for caller in running))
    Authority("strangers").issue().write(server.folder.parent)
    until(lambda: all(caller.failures for caller in running if not caller.keep), 30)


def _renewals(server, outcome):
    return server.sample("erlmcp_tls_certificate_renewals_total", outcome=outcome)


def test_bad_files_leave_the_old_in_force_and_say_why_and_good_ones_mend_it(tls, tmp_path, until):
    issued = AUTHORITY.issue()
    server = tls("--workers", "2", issued=issued).started()
    key = tmp_path / "server.key"

    def damage_with(change):
        before = _renewals(server, "refused")
        change()
        until(lambda: _renewals(server, "refused") > before)
        assert all_see(server, issued.serial)
        return [line["error_id"] for line in server.events() if line["event"] == "tls.not-renewed"][-1]

    expired = AUTHORITY.issue(valid_from=timedelta(days=-3), valid_for=timedelta(days=1))
    assert damage_with(lambda: key.write_bytes(AUTHORITY.issue().key_pem)) == "tls.key-mismatch"
    assert damage_with(lambda: expired.write(tmp_path)) in {"tls.key-mismatch", "tls.not-valid-now"}
    until(lambda: any(line.get("error_id") == "tls.not-valid-now" for line in server.events()))
    assert damage_with(lambda: key.chmod(0o644)) == "tls.key-open"
    assert damage_with(key.unlink) == "tls.unreadable"
    assert _renewals(server, "taken-over") == 0
    good = AUTHORITY.issue()
    good.write(tmp_path)
    until(lambda: all_see(server, good.serial), 30)
    assert _renewals(server, "taken-over") == 1
    assert server.call("says", text="hello") == "said"


def test_staged_generations_and_new_workers_show_the_renewed_certificate(tls, callers, tmp_path, until):
    server = tls("--tcp", "127.0.0.1:0", env={"GUEST_VERSION": "1"}).started()
    running = callers(server)
    assert server.stage("g2", env={"GUEST_VERSION": "2"}).status == 201
    renewed = AUTHORITY.issue()
    renewed.write(tmp_path)
    until(lambda: all_see(server, renewed.serial), 30)
    for generation in ("g2", "g1", "g2"):
        assert server.activate(generation).status == 200
        seen = [len(caller.answers) for caller in running]
        until(lambda seen=seen: all(len(c.answers) > n + 20 for c, n in zip(running, seen, strict=True)))
        assert all_see(server, renewed.serial), "it was staged before the renewal"
    for caller in running:
        caller.finish()
    assert [caller.failures for caller in running] == [[], [], []]
    assert {answer for caller in running for answer in caller.answers} == {"1", "2"}
    with pytest.raises((OSError, ssl.SSLError)):
        server.call("die")
    until(lambda: server.generation("g2")["restarts"] == 1 and server.generation("g2")["workers"])
    assert all_see(server, renewed.serial), "its first message held the renewed one"
    address = next(each["address"] for each in server.read("/listeners").json if each["name"] == "tcp")
    assert shown(server, int(address.rsplit(":", 1)[1])) == renewed.serial


@pytest.mark.parametrize(
    ("change", "error_id"),
    [
        (lambda folder: (folder / "server.key").chmod(0o640), "tls.key-open"),
        (lambda folder: (folder / "server.key").write_bytes(AUTHORITY.issue().key_pem), "tls.key-mismatch"),
        (lambda folder: (folder / "server.pem").write_text("none"), "tls.not-pem"),
        (lambda folder: (folder / "server.pem").unlink(), "tls.unreadable"),
    ],
    ids=["open key", "other key", "no certificate", "missing"],
)
@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_what_cannot_be_served_with_ends_the_start_and_the_check(cli, tmp_path, change, error_id, command):
    AUTHORITY.issue().write(tmp_path)
    config = tmp_path / "erlmcp.toml"
    config.write_text('[tls]\ncertificate = "server.pem"\nkey = "server.key"\n')
    assert cli("check-config", "--config", "erlmcp.toml").returncode == 0
    change(tmp_path)
    target = ["guest:server", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"] if command == "serve" else []
    done = cli(command, *target, "--config", "erlmcp.toml")
    assert done.returncode == 2
    assert f"error[{error_id}]" in done.stderr
    assert "help: " in done.stderr


def test_an_expired_certificate_ends_the_start(tls):
    issued = AUTHORITY.issue(valid_from=timedelta(days=-3), valid_for=timedelta(days=2))
    server = tls(issued=issued)
    assert server.wait() == 2
    assert any("error[tls.not-valid-now]" in line for line in server.lines)


def test_one_that_expires_soon_is_warned_of(tls):
    server = tls(issued=AUTHORITY.issue(valid_for=timedelta(days=10))).started()
    (loaded,) = [line for line in server.events() if line["event"] == "tls.loaded"]
    assert (loaded["level"], loaded["subject"]) == ("warning", "CN=localhost")


def test_a_generation_cannot_have_a_certificate_of_its_own(server):
    answer = server.stage("g-tls", config={"tls.certificate": "other.pem"})
    assert (answer.status, answer.json["error"]["id"]) == (400, "generations.not-its-own")


def test_lines_leave_this_machine_only_to_clients_with_certificates(tls, tmp_path):
    (tmp_path / "clients.pem").write_bytes(AUTHORITY.pem)
    mutual = f'client_ca = "{tmp_path / "clients.pem"}"\n'
    open_to_all = tls("--tcp", "0.0.0.0:0")
    assert open_to_all.wait() == 2
    assert any("error[listen.tcp-not-loopback]" in line for line in open_to_all.lines)
    server = tls("--tcp", "0.0.0.0:0", settings=mutual).started()
    server.tls = AUTHORITY.client_context(AUTHORITY.issue(names=("a client",)), tmp_path)
    address = next(each["address"] for each in server.read("/listeners").json if each["name"] == "tcp")
    port = int(address.rsplit(":", 1)[1])
    with connect(server, port) as inside:
        inside.sendall(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        assert json.loads(inside.recv(4096))["result"] == {}
