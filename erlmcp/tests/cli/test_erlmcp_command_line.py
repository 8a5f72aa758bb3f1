"""The command line: data on stdout, faults on stderr with an id and a hint, and the exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import erlmcp


def _run(*arguments, env=None, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "erlmcp.cli.main", *map(str, arguments)],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version_is_data():
    done = _run("version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{erlmcp.__version__}\n", "")


def test_check_config_shows_every_value_with_its_source(tmp_path):
    file = tmp_path / "erlmcp.toml"
    file.write_text("[log]\nlevel = 'warning'\n")
    done = _run("check-config", "--config", file, env={"ERLMCP_WORKERS": "3"})
    assert done.returncode == 0
    assert 'log.level = "warning"  # file' in done.stdout
    assert "workers = 3  # env" in done.stdout
    as_json = json.loads(_run("check-config", "--config", file, "--json").stdout)
    assert as_json["values"]["log.level"] == {"value": "warning", "source": "file"}


@pytest.mark.parametrize(
    ("text", "file", "error_id"),
    [
        ("[auth]\ntokens_file = 'tokens'", "tokens", "auth.tokens-file"),
        ("[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'", "cert.pem", "tls.not-pem"),
        ("", "session.keys", "config.session-keys-file"),
    ],
    ids=["tokens", "certificate", "session keys"],
)
def test_check_config_judges_the_files_that_are_named_as_serving_does(tmp_path, text, file, error_id):
    (tmp_path / "erlmcp.toml").write_text(text)
    (tmp_path / file).write_text("whatever\n")
    (tmp_path / file).chmod(0o666)
    env = {"ERLMCP_SESSION_KEYS_FILE": "session.keys"} if file == "session.keys" else {}
    for command in (["check-config"], ["serve", "guest:server", "--http", "127.0.0.1:0"]):
        done = _run(*command, "--config", "erlmcp.toml", env=env, cwd=tmp_path)
        assert (done.returncode, error_id in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "error_id"),
    [
        (["check-config", "--config", "none.toml"], 2, "config.not-found"),
        (["serve", "guest:server", "--config", "none.toml"], 2, "config.not-found"),
        (["serve", "guest:server", "--http", "nonsense"], 2, "listen.bad-address"),
        (["serve", "guest:server", "--http", "0.0.0.0:0"], 2, "listen.not-loopback"),
        (["serve", "guest:server", "--admin", "0.0.0.0:0"], 2, "admin.not-loopback"),
        (["serve", "guest:server", "--workers", "0"], 2, "config.bad-value"),
        (["serve", "guest:"], 2, "generations.bad-spec"),
        (["token", "two words"], 2, "auth.bad-token-line"),
        (["serve"], 2, "cli.usage"),
        (["serve", "guest:server", "--prot", "1"], 2, "cli.usage"),
        (["nonsense"], 2, "cli.usage"),
        (["generations", "--control", "none.sock"], 1, "control.unreachable"),
        (["stage", "g2", "guest:server", "--control", "none.sock", "--env", "x"], 2, "cli.usage"),
    ],
)
def test_wrong_usage_is_told_with_an_id_and_help_and_no_traceback(tmp_path, arguments, status, error_id):
    done = _run(*arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith(f"error[{error_id}]: ")
    assert "\nhelp: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_guest_that_does_not_start_ends_the_server_and_shows_the_end_of_its_log(serve):
    server = serve(env={"GUEST_BROKEN": "db.example"})
    assert server.wait(30) == 1
    assert "  | looking for the database" in server.lines
    assert any("no database at db.example" in line for line in server.lines if line.startswith("  | "))
    assert any(line.startswith("error[generations.start-failed]: ") for line in server.lines)
    assert server.lines[-1].startswith("help: ")
    assert not server.control.exists()


def test_generations_are_staged_switched_and_retired_by_hand(serve, until):
    server = serve("--version-label", "1.0.0").started()
    control = ("--control", server.control)
    staged = _run(
        "stage", "g2", "guest:server", *control, "--version-label", "2.0.0", "--env", "GUEST_VERSION=2"
    )
    assert (staged.returncode, staged.stdout.split()[:2]) == (0, ["g2", "staged"])
    switched = _run("activate", "g2", *control)
    assert (switched.returncode, switched.stdout.startswith("g1 → g2 in ")) == (0, True)
    assert server.call("who").endswith(" 2")
    listed = _run("generations", *control).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["g1", "g2"]
    refused = _run("retire", "g2", *control)
    assert (refused.returncode, refused.stderr.split(":")[0]) == (1, "error[generations.active]")
    assert _run("retire", "g1", *control).stdout == "g1 gone\n"
    shown = json.loads(_run("generations", *control, "--json").stdout)
    assert [each["state"] for each in shown] == ["gone", "active"]


def test_the_log_goes_to_a_file_when_asked_and_what_the_guest_prints_is_in_it(serve, tmp_path):
    file = tmp_path / "erlmcp.log"
    server = serve(env={"ERLMCP_LOG__FILE": str(file)}).started()
    forged = '{"event": "forged"}'
    assert server.call("says", text=f"hello\n{forged}") == "said"
    assert server.stop() == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"generation.moved", "worker.ready", "master.stopped"} <= {line["event"] for line in lines}
    assert "forged" not in [line["event"] for line in lines]
    printed = [line["text"] for line in lines if line["event"] == "guest.output"]
    assert printed == ["hello", forged]
    assert [line for line in server.lines if not line.startswith("erlmcp ")] == []


def test_a_token_is_printed_once_and_its_line_lets_its_owner_in(serve, tmp_path):
    done = _run("token", "alice", "--scope", "notes:read", "--scope", "notes:write")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.strip() not in done.stderr
    file = tmp_path / "tokens"
    file.touch(0o600)
    file.write_text(done.stderr)
    server = serve(env={"ERLMCP_AUTH__TOKENS_FILE": str(file)}).started()
    connection = server.connect()
    connection.send("tools/call", {"name": "who", "arguments": {}})
    assert connection.http.getresponse().status == 401
    server.token = done.stdout.strip()
    assert server.call("who")
    assert server.token not in "\n".join(server.lines)
    assert server.sample("erlmcp_rejected_total", reason="auth") == 1


@pytest.mark.parametrize(
    ("text", "mode", "error_id"),
    [
        (None, 0, "auth.tokens-file"),
        ("", 0o666, "auth.tokens-file"),
        ("alice canary", 0o600, "auth.bad-token-line"),
    ],
)
def test_a_server_that_could_let_nobody_in_does_not_start(serve, tmp_path, text, mode, error_id):
    file = tmp_path / "tokens"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    server = serve(env={"ERLMCP_AUTH__TOKENS_FILE": str(file)})
    assert server.wait() == 2
    assert f"error[{error_id}]" in "\n".join(server.lines)
    assert "canary" not in "\n".join(server.lines)


def test_the_help_of_the_program_names_every_command():
    done = _run("--help")
    assert done.returncode == 0
    for name in ("serve", "check-config", "token", "version", "generations", "stage", "activate", "retire"):
        assert name in done.stdout


def test_health_says_whether_the_server_is_ready_and_whether_it_lives(serve, until):
    server = serve().started()
    address = server.admin.removeprefix("http://")
    ready = _run("health", "--admin", address)
    assert (ready.returncode, json.loads(ready.stdout)["status"]) == (0, "ready")
    assert _run("health", "--live", "--admin", address).returncode == 0
    assert server.stop() == 0
    for flags in ((), ("--live",)):
        gone = _run("health", *flags, "--admin", address)
        assert (gone.returncode, "error[admin.unreachable]" in gone.stderr) == (1, True)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b'{"status": "ready"}', 0),
        (503, b'{"status": "ready"}', 1),
        (200, b'{"status": "alive"}', 1),
        (200, b"{}", 1),
        (404, b'{"status": "ready"}', 1),
        (200, b"<html>", 1),
        (200, b"[]", 1),
    ],
)
def test_what_is_no_clear_yes_is_unhealthy(status, body, code):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    other = HTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=other.handle_request)
    thread.start()
    done = _run("health", "--admin", f"127.0.0.1:{other.server_port}")
    thread.join(timeout=20)
    other.server_close()
    assert done.returncode == code


@pytest.mark.parametrize(("environment", "code"), [("production", 2), ("development", 0)])
def test_everything_is_not_logged_in_production(environment, code):
    done = _run("check-config", env={"ERLMCP_ENVIRONMENT": environment, "ERLMCP_LOG__LEVEL": "debug"})
    assert (done.returncode, "config.debug-in-production" in done.stderr) == (code, code == 2)
