"""What a session began to listen to while the bus was away reaches its stream, wherever that is."""

from __future__ import annotations

URI, OTHER = "note://one", "note://two"


def _changed(stream, tools) -> str:
    """The next resource that a stream tells of."""
    while (message := tools.next_message(stream))["method"] != "notifications/resources/updated":
        pass
    return message["params"]["uri"]


def test_a_subscription_made_while_redis_was_dead_reaches_the_stream_at_the_other_host(
    pair, redis, tools, until
):
    here, there = pair
    session = tools.Session(here)
    standing = session.stream(there)
    redis.kill()
    until(lambda: all(tools.bus(each)["status"] == "down" for each in pair))
    assert session.ask(here, "resources/subscribe", uri=URI).status == 200
    assert here.call("change", uri=URI) == "changed", "nobody can tell the stream yet"
    redis.start()
    until(lambda: all(tools.hears(each, 1) for each in pair))
    assert _changed(standing, tools) == URI, "what may have changed before the subscription was known"
    assert session.ask(here, "resources/subscribe", uri=OTHER).status == 200
    until(lambda: session.call(there, "who").status == 200)
    assert here.call("change", uri=OTHER) == "changed"
    assert _changed(standing, tools) == OTHER, "from now on it is heard as ever"


def test_a_session_ended_while_redis_was_dead_loses_its_stream_at_the_other_host(pair, redis, tools, until):
    here, there = pair
    session = tools.Session(here)
    standing = session.stream(there)
    redis.kill()
    until(lambda: all(tools.bus(each)["status"] == "down" for each in pair))
    assert session.delete(here) == 200
    redis.start()
    until(lambda: session.call(there, "who").status == 404)
    assert b"resources/updated" not in standing.read(), "it has ended, though its worker missed the event"
