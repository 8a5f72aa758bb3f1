"""The log file of a running server: one for master and workers, rotated under all of them."""

from __future__ import annotations

import json

CALLS = 150


def _lines(folder):
    older = sorted(folder.glob("erlmcp.log.*"), key=lambda each: -int(each.suffix[1:]))
    files = [*older, folder / "erlmcp.log"]
    return [json.loads(line) for each in files if each.exists() for line in each.read_text().splitlines()]


def test_every_request_of_every_worker_and_generation_is_in_the_log_once_though_it_is_rotated(
    serve, until, tmp_path
):
    env = {
        "ERLMCP_LOG__FILE": str(tmp_path / "erlmcp.log"),
        "ERLMCP_LOG__ACCESS": "true",
        "ERLMCP_LOG__MAX_BYTES": "4000",
        "ERLMCP_LOG__KEEP": "1000",
    }
    server = serve("--workers", "2", env=env).started()

    def call(prefix):
        for number in range(CALLS):
            connection = server.connect()
            connection._credential = {"x-request-id": f"{prefix}{number}"}
            assert connection.call("who")
            connection.close()

    call("before-")
    server.stage("g2")
    server.activate("g2")
    call("after-")
    wanted = [f"{prefix}{number}" for prefix in ("before-", "after-") for number in range(CALLS)]

    def told():
        return [line["request_id"] for line in _lines(tmp_path) if line.get("request_id")]

    until(lambda: len(told()) >= len(wanted))
    assert sorted(told()) == sorted(wanted)
    # On a fast machine all that was written before the file was looked at for the second time.
    until(lambda: [server.call("who") for _ in range(20)] and (tmp_path / "erlmcp.log.2").exists())
    assert server.stop() == 0
    events = _lines(tmp_path)
    assert {"log.rotated", "worker.ready", "generation.activated"} <= {line["event"] for line in events}
    assert sorted({line["generation"] for line in events}) == ["", "g1", "g2"]
    assert sum(line["event"] == "master.stopped" for line in events) == 1


def test_the_log_says_once_that_the_server_has_started_and_with_what(server):
    [started] = [line for line in server.events() if line["event"] == "server.started"]
    assert started["guest"] == "guest"
    assert started["version"] == "1.0.0"
    assert started["environment"] == "production"
    assert len(started["config_hash"]) == 64
    before = [line["event"] for line in server.events()[: server.events().index(started)]]
    assert "generation.activated" in before


def test_a_relative_path_is_the_same_file_for_a_generation_with_another_folder(serve, until, tmp_path):
    server = serve(env={"ERLMCP_LOG__FILE": "erlmcp.log"}).started()
    (tmp_path / "guest.py").write_text((server.folder / "guest.py").read_text())
    assert server.stage("own", cwd=str(tmp_path)).status == 201
    wanted = {"event": "worker.ready", "generation": "own"}
    until(lambda: any(wanted.items() <= line.items() for line in _lines(server.folder)))
    assert not (tmp_path / "erlmcp.log").exists()
