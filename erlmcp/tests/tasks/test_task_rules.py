"""What holds of tasks on one transport or for one kind of guest, and every limit at its edge."""

import base64
import http.client
import json
import time

import pytest

HEADER_MISMATCH, UNDECLARED, UNKNOWN, TOO_MANY = -32020, -32021, -32602, -31433


def test_over_http_the_name_header_must_be_the_task(served_of, refused):
    client = served_of("on_sdk").client()
    task_id = client.start("ask_one")
    for header in (None, task_id[:-1], "=?base64?" + base64.b64encode(b"other").decode() + "?="):
        client.headers = {"Mcp-Name": header}
        for act in (client.get, client.update, client.cancel):
            assert refused(act, task_id).code == HEADER_MISMATCH
            assert client.status == 400
    client.headers = {"Mcp-Name": "=?base64?" + base64.b64encode(task_id.encode()).decode() + "?="}
    assert client.get(task_id)["status"] == "input_required", "what was refused has done nothing"


def test_over_http_a_missing_extension_is_a_400(served_of, refused):
    client = served_of("on_sdk").client()
    client.capabilities = {}
    assert refused(client.call, "job").code == UNDECLARED
    assert client.status == 400


@pytest.mark.behaviour("tasks.not-for-others", transport="http", era="modern")
def test_a_task_belongs_to_the_credential_that_created_it(served_of, refused):
    client = served_of("on_sdk").client()
    client.headers = {"Authorization": "Bearer mine"}
    task_id = client.start("slow", seconds=30)
    for other in (None, "Bearer other"):
        client.headers = {"Authorization": other}
        for act in (client.get, client.update, client.cancel):
            assert refused(act, task_id).code == UNKNOWN
        assert next(client.listen(taskIds=[task_id]))["params"]["notifications"] == {"taskIds": []}
    client.headers = {"Authorization": "Bearer mine"}
    assert client.get(task_id)["status"] == "working"
    client.cancel(task_id)


def _handshake(served, tool):
    connection = http.client.HTTPConnection(served.url.split("/")[2], timeout=20)
    fields = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

    def post(method, params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        connection.request("POST", "/mcp", json.dumps(body), fields)
        response = connection.getresponse()
        fields["Mcp-Session-Id"] = response.headers.get("mcp-session-id") or fields["Mcp-Session-Id"]
        return json.loads(response.read())

    info = {"name": "old", "version": "0"}
    post("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info})
    answer = post("tools/call", {"name": tool, "arguments": {"seconds": 0.2} if tool == "slow" else {}})
    connection.close()
    return answer


def test_a_tool_that_cancels_itself_is_an_error_and_a_cancelled_task(served_of, refused):
    client = served_of("on_sdk").client()
    assert refused(client.call, "gives_up", seconds=0).code == -32603
    assert client.ended(client.start("gives_up", seconds=0.3))["status"] == "cancelled"


def test_progress_goes_out_while_the_call_is_unanswered_and_not_after(served_of):
    client = served_of("on_sdk").client()
    message = client.message("tools/call", {"name": "reports", "arguments": {}})
    message["params"]["_meta"]["progressToken"] = "mine"
    created = client.exchange(message)["result"]
    assert created["resultType"] == "task"
    assert [each["params"]["progress"] for each in client.heard] == [1]
    stream = client.listen(taskIds=[created["taskId"]])
    methods = [next(stream)["method"] for _ in range(3)]
    assert set(methods[1:]) == {"notifications/tasks"}


@pytest.mark.parametrize("kind", ["on_sdk", "on_fastmcp"])
def test_a_client_of_the_handshake_era_gets_plain_results_or_is_told_why_not(served_of, kind):
    assert "content" in _handshake(served_of(kind), "slow")["result"]
    assert _handshake(served_of(kind), "job")["error"]["code"] == UNDECLARED


def test_a_fastmcp_tool_may_be_marked_as_fastmcp_has_it(served_of):
    client = served_of("on_fastmcp").client()
    assert client.text(client.start("own_way")) == "in its own way"
    client.capabilities = {}
    assert client.call("own_way")["resultType"] == "complete", "task=True means optional"


def test_the_list_of_a_low_level_server_tells_which_of_its_tools_run_as_tasks(serve_jobs):
    client = serve_jobs("on_lowlevel").client()
    assert client.text(client.start("lowly")) == "from below"


def test_the_extension_can_be_switched_off(serve_jobs, refused):
    client = serve_jobs(tasks={"enabled": "false"}).client()
    assert "extensions" not in client.request("server/discover")["capabilities"]
    assert client.call("job")["resultType"] == "complete"
    assert refused(client.get, "any").code == -32601


@pytest.mark.behaviour("limits.tasks", transport="http", era="modern")
def test_running_tasks_of_one_client_are_bounded(serve_jobs, refused):
    served = serve_jobs(tasks={"max_running_per_client": 2})
    client, other = served.client(), served.client()
    other.headers = {"Authorization": "Bearer other"}
    first, second = client.start("ask_one"), client.start("ask_one")
    assert refused(client.start, "ask_one").code == TOO_MANY
    assert client.status == 429
    assert other.start("job"), "the bound is each client's own"
    client.cancel(first)
    client.ended(first)
    assert client.start("job"), "one that has ended does not count"
    client.cancel(second)


def test_tasks_that_are_kept_are_bounded(serve_jobs, refused):
    client = serve_jobs(tasks={"max_kept": 2}).client()
    kept = [client.start("job") for _ in range(2)]
    assert refused(client.start, "job").code == TOO_MANY
    assert [client.text(each) for each in kept] == ["done", "done"], "and none was forgotten for it"
    assert client.call("plain")["resultType"] == "complete"


def test_calls_that_are_not_decided_yet_count_as_kept(serve_jobs):
    served = serve_jobs(tasks={"max_kept": 2, "begin_after_s": 1.0})
    clients = [served.client() for _ in range(3)]
    messages = [each.message("tools/call", {"name": "slow", "arguments": {"seconds": 3}}) for each in clients]
    responses = [each.post_only(message) for each, message in zip(clients, messages, strict=True)]
    answers = [json.loads(response().read()) for response in responses]
    assert sorted("error" in answer for answer in answers) == [False, False, True]


def _result_bytes(client, size):
    task = client.ended(client.start("big", size=size))
    return len(json.dumps(task["result"], separators=(",", ":")))


def test_a_result_that_is_too_long_fails_its_task(serve_jobs):
    client = serve_jobs(tasks={"max_result_bytes": 2000}).client()
    twice = _result_bytes(client, 100) - _result_bytes(client, 90)
    overhead = _result_bytes(client, 100) - 10 * twice
    longest = (2000 - overhead) * 10 // twice
    assert client.ended(client.start("big", size=longest))["status"] == "completed"
    task = client.ended(client.start("big", size=longest + 1))
    assert task["status"] == "failed"
    assert "longer than 2000 bytes" in task["error"]["message"]


def test_results_are_bounded_together(serve_jobs):
    client = serve_jobs(tasks={"max_total_bytes": 4000}).client()
    tasks = [client.ended(client.start("big", size=500)) for _ in range(4)]
    states = [task["status"] for task in tasks]
    assert states[0] == "completed"
    assert states[-1] == "failed"
    assert "no room" in tasks[-1]["error"]["message"]


def test_a_task_that_outlives_its_time_fails_and_is_then_forgotten(serve_jobs, refused):
    client = serve_jobs(tasks={"ttl_s": 1.0}).client()
    created = client.call("slow", seconds=60)
    began = time.monotonic()
    assert created["ttlMs"] == 1000
    stream = client.listen(taskIds=[created["taskId"]])
    assert next(stream)["params"]["notifications"]["taskIds"]
    assert next(stream)["params"]["status"] == "working"
    ended = next(stream)["params"]
    assert (ended["status"], ended["error"]["data"]) == ("failed", {"cause": "time-is-up"})
    assert time.monotonic() - began > 0.8
    assert refused(client.get, created["taskId"]).code == UNKNOWN


def test_an_ended_task_is_kept_as_long_as_was_said(serve_jobs, refused):
    client = serve_jobs(tasks={"ttl_s": 2.0}).client()
    before = time.monotonic()
    task_id = client.start("job")
    created = time.monotonic()
    while time.monotonic() < before + 1.9:
        assert client.text(task_id) == "done"
    while time.monotonic() < created + 2.1:
        pass
    assert refused(client.get, task_id).code == UNKNOWN


def test_a_client_that_goes_before_there_is_a_task_cancels_the_call(serve_jobs, tmp_path):
    served = serve_jobs(tasks={"begin_after_s": 5.0})
    client, mark = served.client(), tmp_path / "mark"
    message = client.message("tools/call", {"name": "cancellable", "arguments": {"path": str(mark)}})
    client.post_only(message)
    watcher = served.client()
    while not served.generation("g1")["in_flight"]:
        watcher.call("who")
    client.close()
    deadline = time.monotonic() + 4
    while not mark.exists():
        assert time.monotonic() < deadline
        watcher.call("who")
