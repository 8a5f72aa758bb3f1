"""Changes of tasks on listen streams, over every transport and on both SDKs."""

import pytest

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


@pytest.mark.behaviour("tasks.listened-to", era="modern")
def test_a_listener_is_told_of_the_changes_of_its_tasks_and_of_no_others(client):
    mine, other = client.start("ask_one"), client.start("ask_one")
    key = next(iter(client.until(mine, "input_required")["inputRequests"]))
    stream = client.listen(taskIds=[mine, "invented"])
    first = next(stream)
    assert first["method"] == ACKNOWLEDGED
    assert first["params"]["notifications"] == {"taskIds": [mine]}
    subscription = first["params"]["_meta"][SUBSCRIPTION]
    as_it_is = next(stream)
    assert (as_it_is["method"], as_it_is["params"]["status"]) == ("notifications/tasks", "input_required")
    assert key in as_it_is["params"]["inputRequests"]
    client.cancel(other)
    client.update(mine, **{key: {"action": "accept", "content": {"name": "Ada"}}})
    seen = []
    while not seen or seen[-1]["status"] != "completed":
        told = next(stream)
        assert told["method"] == "notifications/tasks"
        assert told["params"]["_meta"][SUBSCRIPTION] == subscription
        seen.append(told["params"])
    assert {each["taskId"] for each in seen} == {mine}
    assert seen[-1]["result"]["content"][0]["text"] == "Hello, Ada"


def test_a_listener_that_comes_after_the_end_is_told_of_it(client):
    task_id = client.start("job")
    client.ended(task_id)
    stream = client.listen(taskIds=[task_id])
    assert next(stream)["params"]["notifications"]["taskIds"] == [task_id]
    assert next(stream)["params"]["status"] == "completed"


def test_other_subscriptions_of_the_stream_are_as_they_were(client):
    task_id = client.start("job")
    first = next(client.listen(taskIds=[task_id], toolsListChanged=True))
    kinds = first["params"]["notifications"]
    assert kinds["taskIds"] == [task_id]
    can = client.request("server/discover")["capabilities"]["tools"].get("listChanged", False)
    assert kinds.get("toolsListChanged", False) is can


def test_a_client_without_the_extension_cannot_follow_tasks(client):
    task_id = client.start("job")
    client.capabilities = {}
    assert next(client.listen(taskIds=[task_id]))["error"]["code"] == -32021


def test_a_stream_follows_at_most_100_tasks(client):
    assert next(client.listen(taskIds=["none"] * 100))["params"]["notifications"] == {"taskIds": []}
    assert next(client.listen(taskIds=["none"] * 101))["error"]["code"] == -32602
    assert next(client.listen(taskIds="none"))["error"]["code"] == -32602
