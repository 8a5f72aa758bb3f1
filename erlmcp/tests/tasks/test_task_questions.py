"""Tasks that ask their client something, over every transport and on both SDKs."""

import pytest

INVALID = -32602


def _yes(name: str):
    return {"action": "accept", "content": {"name": name}}


@pytest.mark.behaviour("tasks.question-waits", era="modern")
def test_a_question_waits_in_the_task_until_it_is_answered(client):
    task_id = client.start("ask_one")
    asking = client.until(task_id, "input_required")
    ((key, request),) = asking["inputRequests"].items()
    assert request["method"] == "elicitation/create"
    assert request["params"]["message"] == "Who?"
    ack = client.update(task_id, **{key: _yes("Ada")})
    assert ack.keys() == {"resultType", "_meta"}
    assert "inputRequests" not in client.get(task_id), "what was answered is not asked any more"
    assert client.text(task_id) == "Hello, Ada"


def test_an_answer_to_one_of_two_questions_leaves_the_other(client):
    task_id = client.start("ask_many", count=2)
    keys = {}
    while len(keys) < 2:
        keys = client.until(task_id, "input_required")["inputRequests"]
    first, second = sorted(keys, key=lambda key: keys[key]["params"]["message"])
    client.update(task_id, **{first: _yes("one"), "never-asked": _yes("nobody")})
    left = client.get(task_id)
    assert (left["status"], list(left["inputRequests"])) == ("input_required", [second])
    client.update(task_id, **{first: _yes("again")})
    client.update(task_id, **{second: _yes("two")})
    assert client.text(task_id) == "one two"


def test_an_answer_that_is_none_is_refused_and_the_question_stays(client, refused):
    task_id = client.start("ask_one")
    key = next(iter(client.until(task_id, "input_required")["inputRequests"]))
    for wrong in ("Ada", {"action": "perhaps"}, None):
        assert refused(client.update, task_id, **{key: wrong}).code == INVALID
    assert list(client.get(task_id)["inputRequests"]) == [key]
    client.update(task_id, **{key: {"action": "decline"}})
    assert client.text(task_id) == "Hello, decline"


def test_a_client_is_asked_only_what_it_can_answer(client):
    client.capabilities = {"extensions": client.capabilities["extensions"]}
    ended = client.ended(client.start("ask_one"))
    assert ended["status"] == "failed"
    assert ended["error"]["data"] == {"requiredCapabilities": {"elicitation": {}}}


def test_a_task_asks_at_most_32_questions_at_a_time(client):
    task_id = client.start("ask_many", count=32)
    while len(client.until(task_id, "input_required")["inputRequests"]) < 32:
        pass
    client.cancel(task_id)
    ended = client.ended(client.start("ask_many", count=33))
    assert ended["status"] == "failed"
    assert "32 questions" in ended["error"]["message"]


def test_a_tool_that_asks_first_is_a_task_only_when_it_has_its_answer(client):
    first = client.call("first_ask")
    assert first["resultType"] == "input_required"
    assert "taskId" not in first
    second = client.request(
        "tools/call",
        name="first_ask",
        arguments={},
        inputResponses={"name": _yes("Ada")},
        requestState=first["requestState"],
    )
    assert second["resultType"] == "task"
    assert not second.keys() & {"requestState", "inputRequests"}
    assert client.text(second["taskId"]) == "asked Ada"


def test_rounds_of_a_running_task_are_questions_with_keys_of_their_own(client):
    task_id = client.start("late_rounds")
    asked = client.until(task_id, "input_required")
    assert "requestState" not in asked
    (first,) = asked["inputRequests"]
    client.update(task_id, **{first: _yes("Ada")})
    (second,) = client.until(task_id, "input_required")["inputRequests"]
    assert second != first, "no key is used twice in the life of a task"
    client.update(task_id, **{second: _yes("Eve")})
    assert client.text(task_id) == "two Ada Eve"


def test_a_cancelled_task_asks_nothing_any_more(client):
    task_id = client.start("ask_one")
    key = next(iter(client.until(task_id, "input_required")["inputRequests"]))
    client.cancel(task_id)
    assert client.update(task_id, **{key: _yes("Ada")})["resultType"] == "complete"
    task = client.get(task_id)
    assert task["status"] == "cancelled"
    assert "inputRequests" not in task
