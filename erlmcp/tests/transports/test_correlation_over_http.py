"""An error that a client reports can be found in the log: answer and lines carry one id."""

from __future__ import annotations

import logging

import pytest

pytestmark = pytest.mark.anyio

NAMED = {"x-request-id": "of-the-client"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def lines(caplog):
    """What was logged: the fields of each line."""
    caplog.set_level(logging.INFO)
    return lambda: [getattr(r, "erlmcp_fields", {}) | {"event": r.getMessage()} for r in caplog.records]


async def send(served, raw, message, **headers):
    client = await served.connect()
    return await client.call(message, headers={**raw.modern_headers(message), **headers})


async def flushed(served, raw, lines, event):
    await raw.until(lambda: any(line["event"] == event for line in lines()))
    return next(line for line in lines() if line["event"] == event)


async def test_a_protocol_error_and_its_line_have_one_id(serve, raw, lines):
    served = await serve(log={"access": True})
    reply = await send(served, raw, raw.modern("tools/nothing"))
    line = await flushed(served, raw, lines, "request")
    assert reply.headers["x-request-id"] == line["request_id"]


async def test_the_id_and_the_trace_of_the_client_are_taken(serve, raw, lines):
    served = await serve(log={"access": True})
    trace = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    reply = await send(served, raw, raw.modern("tools/nothing"), **NAMED, **trace)
    line = await flushed(served, raw, lines, "request")
    assert reply.headers["x-request-id"] == line["request_id"] == "of-the-client"
    assert line["trace_id"] == TRACE


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"accept": "text/plain"}, 406),
        ({"content-type": "text/plain"}, 415),
        ({"content-length": "99999999999"}, 413),
    ],
)
async def test_a_request_that_is_turned_away_has_an_id_and_a_line_too(serve, raw, lines, headers, status):
    served = await serve(log={"access": True})
    reply = await send(served, raw, raw.modern("tools/list"), **headers)
    line = await flushed(served, raw, lines, "refused")
    assert reply.status == line["status"] == status
    assert reply.headers["x-request-id"] == line["request_id"]


async def test_a_good_answer_is_found_by_the_name_that_the_client_gave(serve, raw, lines):
    served = await serve(log={"access": True})
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
    for number in range(3):  # the third is answered at once
        await send(served, raw, message, **{"x-request-id": f"call-{number}"})
    await raw.until(lambda: sum(line["event"] == "request" for line in lines()) == 3)
    assert [line["request_id"] for line in lines() if line["event"] == "request"] == [
        "call-0",
        "call-1",
        "call-2",
    ]


async def test_a_failed_request_has_its_line_even_where_not_every_request_has_one(serve, raw, lines):
    served = await serve("broken.py:server")
    reply = await send(served, raw, raw.modern("tools/call", name="any", arguments={}))
    line = await flushed(served, raw, lines, "request-failed")
    assert reply.headers["x-request-id"] == line["request_id"]
    assert line["outcome"] == "server_error"


@pytest.mark.parametrize("call", [{"name": "nothing"}, {"name": "add", "arguments": {"a": "one", "b": 2}}])
async def test_a_result_that_tells_of_an_error_has_an_id_and_a_line_too(serve, raw, lines, call):
    served = await serve(log={"access": True})
    message = raw.modern("tools/call", **{"arguments": {}, **call})
    replies = [await send(served, raw, message) for _ in range(3)]  # the third is answered at once
    assert [(reply.status, b'"isError":true' in reply.body) for reply in replies] == [(200, True)] * 3
    await raw.until(lambda: sum(line["event"] == "request" for line in lines()) == 3)
    told = [reply.headers["x-request-id"] for reply in replies]
    assert told == [line["request_id"] for line in lines() if line["event"] == "request"]
    assert len(set(told)) == 3


async def test_a_good_answer_to_a_client_that_gives_no_name_is_not_longer_for_it(serve, raw):
    served = await serve()
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
    for _ in range(3):
        assert "x-request-id" not in (await send(served, raw, message)).headers
