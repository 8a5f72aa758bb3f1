"""Calls that become tasks, over every transport and on both SDKs."""

import re

import pytest

EXTENSION = "io.modelcontextprotocol/tasks"
REQUIRED = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
UNKNOWN, UNDECLARED, NO_METHOD = -32602, -32021, -32601


@pytest.mark.behaviour("tasks.declared", era="modern")
def test_the_extension_is_declared(client):
    assert client.request("server/discover")["capabilities"]["extensions"][EXTENSION] == {}


@pytest.mark.behaviour("tasks.slow-call-becomes-one", era="modern")
def test_a_call_that_takes_its_time_is_answered_with_a_task_and_its_result_is_fetched(client):
    created = client.call("slow", seconds=0.4)
    assert created.keys() == {
        "resultType",
        "taskId",
        "status",
        "createdAt",
        "lastUpdatedAt",
        "ttlMs",
        "pollIntervalMs",
        "_meta",
    }
    assert (created["resultType"], created["status"]) == ("task", "working")
    assert (created["ttlMs"], created["pollIntervalMs"]) == (3_600_000, 1_000)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created["createdAt"])
    assert created["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "jobs"
    at_once = client.get(created["taskId"])
    assert (at_once["resultType"], at_once["status"]) == ("complete", "working")
    assert not at_once.keys() & {"result", "error", "inputRequests"}
    ended = client.ended(created["taskId"])
    assert ended["status"] == "completed"
    assert ended["result"]["content"][0]["text"].startswith("by ")
    assert ended["createdAt"] == created["createdAt"]
    assert ended["lastUpdatedAt"] > created["createdAt"]


def test_a_synchronous_tool_runs_as_a_task_too(client):
    assert client.text(client.start("thread", seconds=0.3)) == "threaded"


def test_a_quick_call_of_an_optional_tool_is_answered_at_once(client):
    assert client.call("slow", seconds=0)["resultType"] == "complete"


def test_a_required_tool_is_a_task_even_when_it_is_quick(client):
    assert client.text(client.start("job", text="quick")) == "quick"


def test_a_tool_that_is_not_marked_is_never_a_task_not_even_with_the_parameter_of_old(client):
    result = client.request("tools/call", name="plain", arguments={}, task={"ttl": 1000})
    assert (result["resultType"], result["content"][0]["text"]) == ("complete", "plain")


@pytest.mark.behaviour("tasks.never-undeclared", era="modern")
def test_a_client_without_the_extension_gets_no_task(client, refused):
    client.capabilities = {}
    assert client.call("slow", seconds=0.3)["resultType"] == "complete"
    fault = refused(client.call, "job")
    assert (fault.code, fault.data) == (UNDECLARED, REQUIRED)


@pytest.mark.behaviour("tasks.methods-need-the-extension", era="modern")
def test_a_client_without_the_extension_may_not_touch_tasks(client, refused):
    task_id = client.start("job")
    client.capabilities = {"extensions": {}}
    for act in (client.get, client.update, client.cancel):
        fault = refused(act, task_id)
        assert (fault.code, fault.data) == (UNDECLARED, REQUIRED)


@pytest.mark.behaviour("tasks.unknown-id", era="modern")
def test_ids_that_are_none_are_unknown(client, refused):
    task_id = client.start("job")
    changed = ("B" if task_id[0] == "A" else "A") + task_id[1:]
    for each in ("nothing", changed, task_id + "A", task_id[:-1], "x" * 10_000, "ä"):
        for act in (client.get, client.update, client.cancel):
            assert refused(act, each).code == UNKNOWN, each
    assert client.text(task_id) == "done", "and the one that is an id is known"


@pytest.mark.behaviour("tasks.older-methods-are-gone", era="modern")
def test_the_methods_of_the_older_tasks_are_gone(client, refused):
    for method in ("tasks/list", "tasks/result"):
        assert refused(client.request, method).code == NO_METHOD


def test_what_is_asked_of_a_task_must_have_its_shape(client, refused):
    assert refused(client.request, "tasks/get").code == UNKNOWN
    task_id = client.start("ask_one")
    assert refused(client.request, "tasks/update", taskId=task_id).code == UNKNOWN
    client.cancel(task_id)


def test_a_protocol_error_fails_the_task_and_an_error_of_the_tool_completes_it(client):
    broken = client.ended(client.start("broken"))
    assert broken["status"] == "failed"
    assert broken["error"] == {"code": -32055, "message": "broken on purpose", "data": {"why": "test"}}
    assert "result" not in broken
    failing = client.ended(client.start("failing"))
    assert (failing["status"], failing["result"]["isError"]) == ("completed", True)
    assert "failed on purpose" in failing["result"]["content"][0]["text"]
    assert "error" not in failing


def test_arguments_that_are_wrong_are_a_result_that_says_so(client):
    ended = client.ended(client.start("job", text={"no": "text"}))
    assert (ended["status"], ended["result"]["isError"]) == ("completed", True)


@pytest.mark.behaviour("tasks.cancelled", era="modern")
def test_a_cancelled_task_stops_and_stays_cancelled(client, tmp_path):
    mark = tmp_path / "mark"
    task_id = client.start("cancellable", path=str(mark))
    assert not mark.exists()
    ack = client.cancel(task_id)
    assert ack.keys() == {"resultType", "_meta"}
    assert ack["resultType"] == "complete"
    assert client.get(task_id)["status"] == "cancelled"
    before = client.get(task_id)
    client.cancel(task_id)
    assert client.get(task_id) == before, "an ended task never changes"
    for _ in range(1000):
        if mark.exists():
            return
        client.get(task_id)
    raise AssertionError("the handler was not cancelled")


def test_cancelling_an_ended_task_is_acknowledged_and_changes_nothing(client):
    task_id = client.start("job")
    ended = client.ended(task_id)
    assert client.cancel(task_id)["resultType"] == "complete"
    assert client.get(task_id) == ended
