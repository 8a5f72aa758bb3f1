"""Tasks belong to the server, not to a worker: any worker answers for them, also when theirs has died."""

import os
import signal
import time

import pytest

UNREACHABLE = -31505


@pytest.fixture(scope="module")
def pair(tmp_path_factory, served_pair):
    return served_pair(tmp_path_factory.mktemp("pair"))


def _owner_and_other(served):
    owner = served.at(lambda _: True)
    return owner, served.at(lambda pid: pid != owner.pid)


def _hears(stream, status):
    """Whether a stream tells of it; one that was at the dead worker just ends."""
    try:
        return any(message["params"]["status"] == status for message in stream)
    except ConnectionError:
        return False


@pytest.mark.behaviour("workers.task-anywhere", transport="http", era="modern")
def test_any_worker_answers_for_any_task(pair):
    owner, other = _owner_and_other(pair)
    task_id = owner.start("ask_one")
    key = next(iter(other.until(task_id, "input_required")["inputRequests"]))
    other.update(task_id, **{key: {"action": "accept", "content": {"name": "Ada"}}})
    assert "inputRequests" not in owner.get(task_id), "the acknowledgement means that the owner has it"
    assert owner.text(task_id) == other.text(task_id) == "Hello, Ada"
    assert owner.get(task_id) == other.get(task_id)


def test_a_wrong_answer_is_refused_through_another_worker_too(pair, refused):
    owner, other = _owner_and_other(pair)
    task_id = owner.start("ask_one")
    key = next(iter(other.until(task_id, "input_required")["inputRequests"]))
    assert refused(other.update, task_id, **{key: "Ada"}).code == -32602
    other.cancel(task_id)
    assert owner.get(task_id)["status"] == "cancelled"


def test_a_listener_at_another_worker_is_told(pair):
    owner, other = _owner_and_other(pair)
    task_id = owner.start("slow", seconds=0.5)
    for _ in range(8):  # each stream is a connection of its own, at either worker
        stream = other.listen(taskIds=[task_id])
        assert next(stream)["params"]["notifications"] == {"taskIds": [task_id]}
        while next(stream)["params"]["status"] != "completed":
            pass


def test_a_worker_that_does_not_answer_is_not_taken_for_dead(pair, refused):
    owner, other = _owner_and_other(pair)
    task_id = owner.start("ask_one")
    other.until(task_id, "input_required")
    os.kill(owner.pid, signal.SIGSTOP)
    try:
        assert refused(other.get, task_id).code == UNREACHABLE
        assert other.status == 503
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    assert other.until(task_id, "input_required")
    other.cancel(task_id)


@pytest.mark.behaviour("death.tasks-fail-with-the-cause", transport="http", era="modern")
def test_tasks_of_a_worker_that_dies_fail_with_the_cause_and_what_had_ended_stays(serve_jobs):
    served = serve_jobs(workers=2)
    owner, other = _owner_and_other(served)
    done, running = owner.start("job", text="kept"), owner.start("ask_one")
    assert other.text(done) == "kept"
    other.until(running, "input_required")
    streams = [other.listen(taskIds=[running]) for _ in range(4)]
    streams = [stream for stream in streams if next(stream)["params"]["notifications"]["taskIds"]]
    os.kill(owner.pid, signal.SIGKILL)
    failed = other.ended(running)
    assert (failed["status"], failed["error"]["data"]) == ("failed", {"cause": "worker-died"})
    assert "died" in failed["statusMessage"]
    assert other.text(done) == "kept"
    assert any(_hears(stream, "failed") for stream in streams), "streams at the survivor are told"
    newcomer = served.at(lambda pid: pid not in (owner.pid, other.pid))
    assert newcomer.get(running)["error"] == failed["error"]
    assert newcomer.text(done) == "kept", "the survivor repeats what the dead one had said"


def test_with_one_worker_a_task_that_died_with_it_has_failed_and_is_not_unknown(serve_jobs):
    served = serve_jobs()
    first = served.at(lambda _: True)
    task_id = first.start("slow", seconds=60)
    created = first.get(task_id)
    os.kill(first.pid, signal.SIGKILL)
    second = served.at(lambda pid: pid != first.pid)
    failed = second.get(task_id)
    assert (failed["status"], failed["error"]["data"]) == ("failed", {"cause": "worker-died"})
    assert failed["createdAt"] == created["createdAt"]
    assert second.get(task_id) == failed
    assert second.update(task_id)["resultType"] == "complete"


def test_a_drained_generation_finishes_its_tasks_and_the_next_one_answers_for_them(serve_jobs):
    served = serve_jobs()
    old = served.at(lambda _: True)
    early = old.start("job", text="early")
    assert served.act("PUT", "/generations/g2", {"target": served.target})[0] in (200, 201)
    late = old.start("slow", seconds=2.5)
    assert served.act("POST", "/generations/g2/activate")[0] == 200
    new = served.at(lambda pid: pid != old.pid)
    assert new.get(late)["status"] == "working"
    assert served.generation("g1")["state"] == "draining", "it waits for the task"
    assert served.generation("g1")["in_flight"] == 1
    retired = served.act("DELETE", "/generations/g1")
    assert retired[0] in (200, 202), retired
    assert new.text(late) == f"by {old.pid}"
    deadline = time.monotonic() + 10
    while served.generation("g1")["state"] != "gone":
        assert time.monotonic() < deadline
    assert new.text(late) == f"by {old.pid}", "the worker is gone, the result is not"
    assert new.text(early) == "early"


def test_a_task_that_outlasts_the_drain_fails_with_the_cause(serve_jobs):
    served = serve_jobs()
    old = served.at(lambda _: True)
    task_id = old.start("slow", seconds=60)
    served.act("PUT", "/generations/g2", {"target": served.target})
    served.act("POST", "/generations/g2/activate")
    new = served.at(lambda pid: pid != old.pid)
    served.act("DELETE", "/generations/g1")
    failed = new.ended(task_id)
    assert (failed["status"], failed["error"]["data"]) == ("failed", {"cause": "server-stopped"})
