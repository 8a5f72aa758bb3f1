"""The control socket's client against a real HTTP server on a real Unix socket that answers badly."""

from __future__ import annotations

import asyncio
import json

import pytest

from gonogo.adapters.erlmcp_control import ControlError, ErlmcpControl
from gonogo.config.schema import Guest, Manifest
from gonogo.deploy.platforms.erlmcp import spec_of


def talk(path, answer: bytes, act):
    """Serve ``answer`` to whoever connects, run ``act`` with a client, give what it gave."""

    async def run():
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(serve, path)
        control = ErlmcpControl(str(path), act_timeout_s=2)
        try:
            async with asyncio.timeout(10):
                return await act(control)
        finally:
            await control.close()
            server.close()
            await server.wait_closed()

    return asyncio.run(run())


def reply(status: int, body: object) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n"
    return head.encode() + data


def test_a_refusal_carries_the_servers_reason_hint_and_log(tmp_path):
    error = {"id": "generations.start-failed", "message": "no module app", "hint": "mend the target"}
    body = {"error": error | {"log_tail": ["Traceback", "ModuleNotFoundError: app"]}}
    with pytest.raises(ControlError) as caught:
        talk(tmp_path / "c", reply(422, body), lambda control: control.stage("g2", {}))
    assert caught.value.error_id == "control.refused"
    assert caught.value.refusal == "generations.start-failed"
    assert "no module app" in caught.value.message
    assert caught.value.hint == "mend the target"
    assert caught.value.note == "Traceback\nModuleNotFoundError: app"


@pytest.mark.parametrize("body", [b"<html>", [], {"error": "text"}, {"error": {"log_tail": 3}}])
def test_a_refusal_in_any_form_is_still_a_refusal(tmp_path, body):
    with pytest.raises(ControlError) as caught:
        talk(tmp_path / "c", reply(500, body), lambda control: control.activate("g2"))
    assert (caught.value.error_id, caught.value.refusal) == ("control.refused", "http.500")


@pytest.mark.parametrize("body", [{"not": "a list"}, [1, 2]])
def test_generations_must_be_a_list_of_objects(tmp_path, body):
    with pytest.raises(ControlError) as caught:
        talk(tmp_path / "c", reply(200, body), lambda control: control.generations())
    assert caught.value.error_id == "control.bad-answer"


def test_no_socket_is_unreachable_and_says_how_to_start_one(tmp_path):
    async def run():
        control = ErlmcpControl(str(tmp_path / "none"))
        try:
            await control.generations()
        finally:
            await control.close()

    with pytest.raises(ControlError) as caught:
        asyncio.run(run())
    assert caught.value.error_id == "control.unreachable"
    assert f"--control {tmp_path / 'none'}" in caught.value.hint


def test_a_server_that_hangs_up_in_the_middle_is_unreachable(tmp_path):
    with pytest.raises(ControlError) as caught:
        talk(tmp_path / "c", b"HTTP/1.1 200 OK\r\ncontent-le", lambda control: control.retire("g2"))
    assert caught.value.error_id == "control.unreachable"


def test_an_answer_without_end_is_not_read_to_its_end(tmp_path):
    huge = reply(200, b"[" + b" " * (2 * 1024 * 1024) + b"]")
    with pytest.raises(ControlError) as caught:
        talk(tmp_path / "c", huge, lambda control: control.generations())
    assert caught.value.error_id == "control.unreachable"


def test_a_manifest_becomes_a_spec_with_absolute_paths(tmp_path):
    guest = Guest(target="app:server", cwd="service", python=".venv/bin/python", env={"A": "1"})
    spec = spec_of(Manifest(version="1.1.0", guest=guest), tmp_path)
    assert spec == {
        "target": "app:server",
        "version": "1.1.0",
        "python": str(tmp_path / ".venv/bin/python"),
        "cwd": str((tmp_path / "service").resolve()),
        "env": {"A": "1"},
        "config": {},
        "workers": None,
    }


def test_an_interpreter_that_is_a_bare_name_is_left_to_the_server(tmp_path):
    for name in ("", "python3.12"):
        guest = Guest(target="app:server", python=name)
        assert spec_of(Manifest(version="1", guest=guest), tmp_path)["python"] == name
