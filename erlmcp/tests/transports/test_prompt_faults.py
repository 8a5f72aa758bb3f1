"""Whose fault it is when a prompt cannot be had, in both eras."""

import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["modern", "handshake"])
async def get(request, serve, raw):
    served = await serve("prompting.py:server")
    if request.param == "modern":
        return lambda **params: served.modern_call("prompts/get", **params)
    session = await served.initialize()
    return lambda **params: served.session_call(session, raw.handshake("prompts/get", **params))


async def test_a_prompt_is_given(get):
    reply = await get(name="greet", arguments={"name": "Ada"})
    assert reply.json["result"]["messages"][0]["content"]["text"] == "Say something kind to Ada."


@pytest.mark.behaviour("prompts.unknown", transport="http", era="modern")
async def test_an_unknown_prompt_is_the_clients_fault(get):
    error = (await get(name="nonsense")).json["error"]
    assert (error["code"], error["message"]) == (-32602, "Unknown prompt: nonsense")


@pytest.mark.behaviour("prompts.missing-argument", transport="http", era="modern")
async def test_a_missing_argument_is_the_clients_fault_and_is_named(get):
    error = (await get(name="greet", arguments={"mood": "bad"})).json["error"]
    assert (error["code"], error["message"]) == (-32602, "Missing arguments: name")


@pytest.mark.behaviour("prompts.failing", transport="http", era="modern")
async def test_a_prompt_that_fails_is_the_servers_fault_and_says_nothing_of_it(get):
    error = (await get(name="fail")).json["error"]
    assert error["code"] == -32603
    assert "swordfish" not in str(error)
