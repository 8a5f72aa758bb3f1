"""Two servers that share Redis and session keys are one service to their clients."""

from __future__ import annotations

import json
import os
import signal

import pytest

URI = "note://one"


@pytest.fixture
def both(kept_pair, tools, until):
    """Two hosts that hear each other, for tests that leave them so."""
    until(lambda: all(tools.hears(each, 1) for each in kept_pair))
    return kept_pair


def test_a_change_at_one_host_is_heard_by_listeners_of_the_other(both, tools):
    here, there = both
    stream = tools.listen(there, resourceSubscriptions=[URI], toolsListChanged=True)
    assert here.call("change", uri=URI) == "changed"
    told = tools.next_message(stream)
    assert (told["method"], told["params"]["uri"]) == ("notifications/resources/updated", URI)


def test_a_subscription_made_at_one_host_is_served_on_the_stream_at_the_other(both, tools):
    here, there = both
    session = tools.Session(here)
    assert session.ask(here, "resources/subscribe", uri=URI).status == 200
    stream = session.stream(there)
    assert session.call(here, "change", uri=URI).status == 200
    told = tools.next_message(stream)
    assert (told["method"], told["params"]["uri"]) == ("notifications/resources/updated", URI)


def test_an_answer_to_a_question_may_be_given_at_the_other_host(both, tools):
    here, there = both
    session = tools.Session(here)
    stream = session.stream(there)
    asking = session.begin(here, "count_roots")
    question = tools.next_message(stream)
    assert question["method"] == "roots/list"
    answer = {"id": question["id"], "result": {"roots": [{"uri": "file:///a"}, {"uri": "file:///b"}]}}
    assert session.send(there, answer).http.getresponse().status == 202
    assert json.loads(asking.http.getresponse().read())["result"]["content"][0]["text"] == "2"


def test_a_session_that_is_ended_at_one_host_is_ended_at_the_other(both, tools, until):
    here, there = both
    ended, other = tools.Session(here), tools.Session(here)
    assert ended.call(there, "who").status == 200
    assert ended.delete(there) == 200
    until(lambda: ended.call(here, "who").status == 404)
    assert other.call(there, "who").status == 200


def test_a_host_that_starts_later_knows_which_sessions_have_ended_and_who_has_subscribed(host, tools, until):
    here = host().started()
    ended, session = tools.Session(here), tools.Session(here)
    assert ended.delete(here) == 200
    assert session.ask(here, "resources/subscribe", uri=URI).status == 200
    there = host().started()
    until(lambda: tools.hears(there, 1))
    until(lambda: ended.call(there, "who").status == 404)
    stream = session.stream(there)
    assert session.call(here, "change", uri=URI).status == 200
    while tools.next_message(stream)["method"] != "notifications/resources/updated":
        pass


def test_the_stream_of_a_call_is_taken_up_at_the_other_host(both, tools):
    here, there = both
    session = tools.Session(here)
    away = session.begin(here, "go_away").http.getresponse()
    back = session.stream(there, tools.last_id(away))
    assert session.call(here, "release").status == 200
    messages = [tools.next_message(back), tools.next_message(back)]
    assert messages[0]["params"]["message"] == "back"
    assert messages[1]["result"]["content"][0]["text"] == "done"


def test_a_task_of_one_host_is_answered_for_by_the_other(both, tools, until):
    here, there = both
    task = tools.task_request(here, "tools/call", "build", name="build", arguments={})["result"]
    assert task["resultType"] == "task"

    def ended():
        answer = tools.task_request(there, "tasks/get", task["taskId"], taskId=task["taskId"])
        return answer["result"]["status"] == "completed" and answer["result"]

    assert until(ended)["result"]["content"][0]["text"] == "built"


def test_a_call_that_is_read_at_another_host_ends_with_an_error_when_its_own_dies(pair, tools, until):
    here, there = pair
    session = tools.Session(here)
    away = session.begin(here, "stay_away").http.getresponse()
    back = session.stream(there, tools.last_id(away))
    workers = here.generation("g1")["workers"]
    here.process.kill()
    for pid in workers:  # the whole host dies, with nobody left to say so
        os.kill(pid, signal.SIGKILL)
    lost = tools.next_message(back)
    assert (lost["id"], lost["error"]["data"]) == ("call", {"cause": "worker-died"})
    until(lambda: tools.hears(there, 0))
    assert session.call(there, "who").status == 200


def test_a_worker_that_dies_is_told_of_at_the_other_host(pair, tools):
    here, there = pair
    session = tools.Session(here)
    away = session.begin(here, "stay_away").http.getresponse()
    back = session.stream(there, tools.last_id(away))
    os.kill(here.generation("g1")["workers"][0], signal.SIGKILL)
    assert tools.next_message(back)["error"]["data"] == {"cause": "worker-died"}


def test_the_cap_on_sessions_counts_those_of_both_hosts(host, tools, until):
    pair = [host(env={"ERLMCP_MCP__MAX_SESSIONS": "2"}).started() for _ in range(2)]
    until(lambda: all(tools.hears(each, 1) for each in pair))
    for each in pair:
        tools.Session(each)
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    for each in pair:
        until(lambda each=each: each.connect().handshake("initialize", params, id=1).status == 503)


def test_hosts_with_other_keys_or_another_name_do_not_hear_each_other(host, tools, until, tmp_path):
    here = host().started()
    other = tmp_path / "other.keys"
    other.write_text("cd" * 32)
    other.chmod(0o600)
    stranger = host(env={"ERLMCP_SESSION_KEYS_FILE": str(other)}).started()
    neighbour = host(env={"ERLMCP_BUS__NAME": "another"}).started()
    until(lambda: "letters refused" in tools.bus(here)["detail"])
    until(lambda: "letters refused" in tools.bus(stranger)["detail"])
    assert tools.hears(here, 0)
    assert tools.hears(stranger, 0)
    assert tools.hears(neighbour, 0)
    assert "refused" not in tools.bus(neighbour)["detail"]
    refused = [line for line in here.events() if line["event"] == "bus.letter-refused"]
    assert "do the hosts share them?" in refused[0]["fault"]


def test_the_bus_is_counted(both, until):
    here, _ = both
    assert here.sample("erlmcp_bus_up") == 1
    assert here.sample("erlmcp_bus_hosts") == 1
    until(lambda: here.sample("erlmcp_bus_events_total", fate="heard") > 0)
    assert here.sample("erlmcp_bus_events_total", fate="dropped") == 0
    assert 0 < here.sample("erlmcp_bus_round_trip_seconds") < 1


def test_a_client_has_one_rate_at_both_hosts(host, tools, until):
    """Each would let sixty pass alone; what one has let pass the other hears before its own are gone."""
    limits = {"SHARED": "true", "REQUESTS_PER_S": "0.001", "BURST": "60"}
    pair = [host(env={f"ERLMCP_LIMITS__{name}": value for name, value in limits.items()}) for _ in range(2)]
    for each in pair:
        each.started()
    until(lambda: all(tools.hears(each, 1) for each in pair))
    here, there = pair
    assert [is_served(here) for _ in range(61)] == [True] * 60 + [False]
    passed = []
    until(lambda: passed.append(is_served(there)) or not passed[-1])
    assert sum(passed) < 60


def is_served(server):
    """Whether it has the right to be heard; without a session there is not more to be had."""
    return server.connect().handshake("ping", {}).status != 429
