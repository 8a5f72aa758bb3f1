"""Two hosts with networks of their own and a cable each to the Redis that they share."""

from __future__ import annotations

import json

URI = "note://one"


def test_two_hosts_on_a_network_are_one_service(networked, tools, until):
    (here, there), _ = networked
    session, ended = tools.Session(here), tools.Session(there)
    assert session.call(there, "who").status == 200
    assert session.ask(there, "resources/subscribe", uri=URI).status == 200
    listener = tools.listen(there, resourceSubscriptions=[URI])
    standing = session.stream(here)
    assert session.call(there, "change", uri=URI).status == 200
    assert here.call("change", uri=URI) == "changed"
    for stream in (listener, standing):
        for _ in range(2):
            told = tools.next_message(stream)
            assert (told["method"], told["params"]["uri"]) == ("notifications/resources/updated", URI)
    asking = session.begin(there, "count_roots")
    question = tools.next_message(standing)
    answer = {"id": question["id"], "result": {"roots": [{"uri": "file:///a"}]}}
    assert session.send(here, answer).http.getresponse().status == 202
    assert json.loads(asking.http.getresponse().read())["result"]["content"][0]["text"] == "1"
    away = session.begin(here, "go_away").http.getresponse()
    back = session.stream(there, tools.last_id(away))
    until(lambda: session.call(here, "release").status == 200 and _is_released(here, session))
    assert [tools.next_message(back) for _ in range(2)][-1]["result"]["content"][0]["text"] == "done"
    assert ended.delete(here) == 200
    until(lambda: ended.call(there, "who").status == 404)


def _is_released(server, session) -> bool:
    """Whether both workers have been told: only one of them holds the call."""
    return server.generation("g1")["in_flight"] == 0


def test_a_host_whose_cable_is_cut_serves_on_and_catches_up(networked, tools, until):
    (here, there), cable = networked
    ended_here, ended_there, lost = tools.Session(here), tools.Session(there), tools.Session(here)
    for session in (ended_here, ended_there, lost):
        assert {session.call(each, "who").status for each in (here, there)} == {200}
    listener = tools.listen(there, resourceSubscriptions=[URI])
    away = lost.begin(here, "stay_away").http.getresponse()
    back = lost.stream(there, tools.last_id(away))
    cable("one", "down")
    until(lambda: tools.bus(here)["status"] == "down")
    until(lambda: tools.hears(there, 0))
    assert tools.next_message(back)["error"]["data"] == {"cause": "worker-died"}
    for each in (here, there):
        assert each.read("/ready").status == 200
        assert each.call("who")
    assert here.call("change", uri=URI) == "changed"
    assert ended_here.delete(here) == ended_there.delete(there) == 200
    assert ended_here.call(there, "who").status == ended_there.call(here, "who").status == 200
    cable("one", "up")
    until(lambda: tools.hears(here, 1) and tools.hears(there, 1))
    until(lambda: ended_here.call(there, "who").status == ended_there.call(here, "who").status == 404)
    assert tools.next_message(listener)["params"]["uri"] == URI
