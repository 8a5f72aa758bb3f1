"""Targets through the command line and the control socket, in the guest's own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.target import Target, parse
from erlmcp.dispatch.errors import GuestError
from erlmcp.dispatch.sdk_present import require_sdk
from erlmcp.supervisor.spec import MAX_ARGS, MAX_ARGS_BYTES, GenerationSpec, checked

COMMAND = "mcp-server-of-the-tests"


@pytest.fixture
def environment(site):
    return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}


def test_an_installed_command_is_served_with_its_arguments_also_by_a_second_worker(serve, environment):
    server = serve("--workers", "2", "--", "--repository", "here", target=COMMAND, env=environment).started()
    assert server.call("hello") == "hello from here"
    assert server.stop() == 0


def test_a_staged_generation_has_its_own_arguments_and_environment(serve, environment, guests):
    server = serve(env=environment).started()
    script = str(guests / "script.py")
    assert server.stage("g2", target=script, args=["g2"]).status == 201
    assert server.stage("g2", target=script, args=["g2"]).status == 200
    assert server.stage("g2", target=script, args=["other"]).status == 409
    assert server.activate("g2").status == 200
    assert server.call("hello") == "hello from g2"
    spec = {"target": COMMAND, "args": ["--repository", "there"], "env": {"SIGN": "!"}}
    assert server.act("PUT", "/generations/g3", spec).status == 201
    assert server.activate("g3").status == 200
    assert server.call("hello") == "hello from there!"
    failed = server.stage("g4", target=COMMAND)
    assert failed.status == 422
    assert "the following arguments are required: --repository" in str(failed.json["error"]["log_tail"])
    assert server.stop() == 0


def test_a_main_that_would_read_standard_input_leaves_it_to_the_client_of_erlmcp_stdio(environment, guests):
    meta = {f"io.modelcontextprotocol/{key}": value for key, value in META.items()}
    params = {"name": "hello", "arguments": {}, "_meta": meta}
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    done = subprocess.run(
        [sys.executable, "-m", "erlmcp.cli.main", "stdio", "mains:parses", "--", "--name", "stdio"],
        input=request + "\n",
        cwd=guests,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["content"][0]["text"] == "hello from stdio"


META = {"protocolVersion": "2026-07-28", "clientCapabilities": {}}


def test_an_interpreter_with_an_old_sdk_is_refused_with_what_to_do(serve, tmp_path):
    old = tmp_path / "old" / "mcp-1.30.0.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: mcp\nVersion: 1.30.0\n")
    path = os.pathsep.join([str(old.parent), os.environ.get("PYTHONPATH", "")])
    server = serve().started()
    refused = server.stage("g2", env={"PYTHONPATH": path})
    assert refused.status == 422
    assert "guest.sdk-too-old" in refused.json["error"]["message"]
    assert "mcp 1.30.0" in refused.json["error"]["message"]
    assert "MCPServer" in refused.json["error"]["hint"]
    assert server.stage("g3").status == 201
    assert server.stop() == 0


def test_an_interpreter_without_the_sdk_is_refused_with_what_to_do(monkeypatch):
    require_sdk()
    monkeypatch.setattr(sys, "path", [each for each in sys.path if "-packages" not in each])
    with pytest.raises(GuestError) as told:
        require_sdk()
    assert told.value.error_id == "guest.sdk-missing"
    assert "pip install" in told.value.hint


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("a:b", Target("module", "a", "b")),
        ("a.b:c.d", Target("module", "a.b", "c.d")),
        ("a.py:b.c", Target("file", "a.py", "b.c")),
        ("../my tools/a-b.py", Target("file", "../my tools/a-b.py")),
        ("mcp-server-git", Target("command", "mcp-server-git")),
    ],
)
def test_every_form_of_target_is_understood(text, target):
    assert parse(text) == target


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:", ":b", "a:b:c", "a b", "a:b c", "-m", ".py", "a/b", "a.py:", "a/.py", "a\n.py", "a\0.py"],
)
def test_what_has_no_form_of_a_target_is_not_one(text):
    assert parse(text) is None
    with pytest.raises(ErlmcpError):
        checked(GenerationSpec(target=text))


def test_the_hash_of_a_spec_without_arguments_is_what_it_was_before_there_were_any():
    plain = GenerationSpec(target="app:server", version="1.0.0")
    assert plain.digest == "5d5e70f335b879c2f774b933c4393ca9f5acd08638f7c2f9e66d6fc09b72bd2c"
    assert len({plain.digest, *(GenerationSpec("app:server", "1.0.0", **more).digest for more in MORE)}) == 4


MORE = [{"args": ["a"]}, {"args": ["a", "b"]}, {"factory": True}]


def test_arguments_have_a_limit():
    assert checked(GenerationSpec(target="a:b", args=["x"] * MAX_ARGS))
    assert checked(GenerationSpec(target="a:b", args=["x" * MAX_ARGS_BYTES]))
    for args in (["x"] * (MAX_ARGS + 1), ["x" * MAX_ARGS_BYTES, "x"], ["\0"]):
        with pytest.raises(ErlmcpError):
            checked(GenerationSpec(target="a:b", args=args))
