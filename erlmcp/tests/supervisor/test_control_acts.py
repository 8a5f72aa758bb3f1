"""The acts on the control socket: what each answers, twice, wrong and at the wrong time."""

from __future__ import annotations

import stat
import sys

import pytest


def _error(answer):
    return answer.status, answer.json["error"]["id"]


def test_staging_twice_is_one_generation_and_another_spec_is_a_conflict(server):
    first = server.stage("twice", version="7")
    assert (first.status, first.json["state"], first.json["version"]) == (201, "staged", "7")
    again = server.stage("twice", version="7")
    assert again.status == 200
    assert again.json["workers"] == first.json["workers"]
    assert _error(server.stage("twice", version="8")) == (409, "generations.conflict")
    assert server.retire("twice").json["state"] == "gone"
    assert server.retire("twice").status == 200


def test_a_staged_generation_answers_privately_and_not_in_public(server):
    staged = server.stage("private", version="2", env={"GUEST_VERSION": "2"}).json
    assert server.connect(staged["private_url"] + "/mcp").call("who") == f"{staged['workers'][0]} 2"
    assert {server.call("who") for _ in range(5)} == {f"{server.generation('g1')['workers'][0]} 0"}
    server.retire("private")


def test_an_id_that_is_gone_can_be_staged_again_and_its_counters_go_on(server):
    def count():
        return server.sample("erlmcp_requests_total", generation="again", method="tools/call")

    for total in (1, 2):
        url = server.stage("again").json["private_url"]
        assert server.connect(url + "/mcp").call("who")
        assert count() == total
        server.retire("again")
        assert count() == total


def test_a_guest_that_does_not_start_is_refused_with_the_end_of_its_log(server):
    answer = server.stage("broken", env={"GUEST_BROKEN": "db.example"})
    assert _error(answer) == (422, "generations.start-failed")
    tail = answer.json["error"]["log_tail"]
    assert "looking for the database" in tail
    assert any("no database at db.example" in line for line in tail)
    assert server.generation("broken")["state"] == "failed"
    assert server.call("who")
    assert _error(server.activate("broken")) == (409, "generations.not-ready")
    assert server.stage("broken").status == 201, "a failed id may be staged anew"
    server.retire("broken")


def test_a_guest_that_hangs_at_its_start_is_given_its_time_and_then_ended(server):
    answer = server.stage("hanging", target="hanging:server", config={"start_timeout_s": 4})
    assert _error(answer) == (422, "generations.start-failed")
    assert "generations.start-timeout" in answer.json["error"]["message"]
    assert "waiting for the lock" in answer.json["error"]["log_tail"]
    assert server.generation("hanging")["workers"] == []


@pytest.mark.parametrize(
    ("spec", "status", "error_id"),
    [
        ({"python": "/nowhere/python"}, 422, "generations.start-failed"),
        ({"cwd": "/nowhere"}, 422, "generations.start-failed"),
        ({"target": "nowhere:server"}, 422, "generations.start-failed"),
        ({"target": "os; rm"}, 400, "generations.bad-spec"),
        ({"workers": 0}, 400, "generations.bad-spec"),
        ({"wrkers": 1}, 400, "generations.bad-spec"),
        ({"env": {"A=B": "c"}}, 400, "generations.bad-spec"),
        ({"config": {"log.levle": "info"}}, 400, "config.unknown-key"),
        ({"config": {"log.level": "loud"}}, 400, "config.bad-value"),
    ],
)
def test_a_spec_that_cannot_be_run_is_refused_and_the_server_goes_on(server, spec, status, error_id):
    assert _error(server.stage("wrong", **spec)) == (status, error_id)
    assert server.call("who")


def test_unknown_and_malformed_ids_are_refused(server):
    assert _error(server.activate("nobody")) == (404, "generations.unknown")
    assert _error(server.retire("nobody")) == (404, "generations.unknown")
    assert _error(server.stage(".hidden")) == (400, "generations.bad-id")
    assert _error(server.stage("x" * 65)) == (400, "generations.bad-id")


def test_the_active_generation_is_not_retired_and_activating_it_again_changes_nothing(server):
    assert _error(server.retire("g1")) == (409, "generations.active")
    answer = server.activate("g1")
    assert (answer.status, answer.json["active"]) == (200, "g1")


def test_a_generation_has_its_own_interpreter_folder_environment_and_settings(server, tmp_path):
    (tmp_path / "guest.py").write_text((server.folder / "guest.py").read_text())
    answer = server.stage(
        "own",
        python=sys.executable,
        cwd=str(tmp_path),
        env={"ONLY_HERE": "yes"},
        config={"mcp.path": "/own", "drain_timeout_s": 5},
        workers=2,
    )
    assert len(answer.json["workers"]) == 2
    assert answer.json["config_hash"] != server.generation("g1")["config_hash"]
    own = server.connect(answer.json["private_url"] + "/own")
    assert own.call("environment", name="ONLY_HERE") == "yes"
    assert own.call("environment", name="PWD") != "unset"
    assert server.call("environment", name="ONLY_HERE") == "unset"
    server.retire("own")


def test_session_keys_are_not_in_the_guests_environment(serve):
    server = serve(env={"ERLMCP_SESSION_KEYS": "00" * 32}).started()
    assert server.call("environment", name="ERLMCP_SESSION_KEYS") == "unset"


def test_the_log_level_changes_at_once_and_is_shown_with_its_source(serve, until):
    server = serve().started()
    before = server.read("/health").json["config_hash"]
    assert server.act("PUT", "/log-level", {"level": "error"}).status == 200
    shown = server.read("/config").json
    assert shown["values"]["log.level"] == {"value": "error", "source": "control"}
    assert shown["hash"] != before
    written = len(server.events())
    assert server.call("says", text="plain output") == "said"
    server.stage("g2")
    assert len(server.events()) == written
    server.act("PUT", "/log-level", {"level": "info"})
    server.stage("g3")
    wanted = {"generation.moved", "worker.ready"}  # one of the master, one of a worker
    until(lambda: wanted <= {line["event"] for line in server.events()[written:]})
    assert _error(server.act("PUT", "/log-level", {"level": "loud"})) == (400, "config.bad-value")
    assert _error(server.act("PUT", "/log-level", {})) == (400, "control.bad-body")


def test_every_act_is_logged_with_the_process_that_asked(server, until):
    server.retire("nobody")
    asked = {"event": "control.refused", "subject": "nobody", "error_id": "generations.unknown"}
    line = until(lambda: next((line for line in server.events() if asked.items() <= line.items()), None))
    assert line["peer_pid"] > 0


def test_the_control_socket_is_for_its_owner_only_and_never_taken_from_a_live_server(server, serve):
    assert stat.S_IMODE(server.control.stat().st_mode) == 0o600
    second = serve("--control", str(server.control))
    assert second.wait() == 1
    assert any(line.startswith("error[control.in-use]") for line in second.lines)
    assert server.act("GET", "/health").status == 200


def test_a_body_over_the_limit_is_refused(server):
    assert _error(server.stage("large", env={"A": "x" * 300_000})) == (413, "control.body-too-large")


@pytest.mark.parametrize(
    ("config", "error_id"),
    [
        ({"environment": "development"}, "generations.not-its-own"),
        (
            {"auth.resource": "https://a.example", "auth.issuers": [{"issuer": "http://127.0.0.1:9400"}]},
            "auth.test-issuer",
        ),
    ],
)
def test_a_generation_cannot_bring_a_test_issuer_into_production(server, config, error_id):
    answer = server.stage("tested", config=config)
    assert (answer.status, answer.json["error"]["id"]) == (400, error_id)
