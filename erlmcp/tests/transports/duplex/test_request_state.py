"""What a client brings back in the next round of a call was sealed, for this call and for a time."""

from __future__ import annotations

import time

import pytest

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("modern_transport", ["http", "tcp", "stdio", "websocket"]),
]
META = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
LIFETIME_S = 600
"""Of the SDK's default policy."""


class Asked:
    """A client of the modern era whose calls are asked something."""

    def __init__(self, served, client, raw):
        self._served = served
        self._client = client
        self._raw = raw
        self._number = 0

    async def call(self, tool, state=None, answers=None, **arguments):
        self._number += 1
        more = {} if state is None else {"requestState": state, "inputResponses": answers}
        message = self._raw.modern(
            "tools/call", self._number, name=tool, arguments=arguments, _meta=META, **more
        )
        if self._client is not None:
            return await self._client.call(message)
        return (
            await (await self._served.connect()).call(message, headers=self._raw.modern_headers(message))
        ).json

    async def first_round(self, tool, **arguments):
        """The sealed state, and answers to what was asked."""
        asked = (await self.call(tool, **arguments))["result"]
        assert asked["resultType"] == "input_required"
        answer = {"action": "accept", "content": {"name": "Ada"}}
        return asked["requestState"], dict.fromkeys(asked["inputRequests"], answer)


@pytest.fixture
async def asked(serve, connect, raw, modern_transport):
    served = await serve("asking.py:make")
    client = None if modern_transport == "http" else await connect(modern_transport, served)
    return Asked(served, client, raw)


@pytest.mark.behaviour("rounds.answered-in-the-next")
async def test_the_next_round_has_the_answer(asked):
    state, answers = await asked.first_round("greet", greeting="Hello")
    answer = await asked.call("greet", state, answers, greeting="Hello")
    assert answer["result"]["content"][0]["text"] == "Hello Ada"


@pytest.mark.behaviour("rounds.altered-state-is-refused")
async def test_a_state_with_any_part_changed_is_refused(asked):
    state, answers = await asked.first_round("greet", greeting="Hello")
    for place in (0, len(state) // 2, len(state) - 2):
        altered = state[:place] + ("A" if state[place] != "A" else "B") + state[place + 1 :]
        assert (await asked.call("greet", altered, answers, greeting="Hello"))["error"]["code"] == -32602
    assert "result" in await asked.call("greet", state, answers, greeting="Hello"), "as it was it is good"


@pytest.mark.behaviour("rounds.state-of-another-call-is-refused")
async def test_a_state_taken_to_another_tool_or_other_arguments_is_refused(asked):
    state, answers = await asked.first_round("greet", greeting="Hello")
    assert (await asked.call("ask_name", state, answers))["error"]["code"] == -32602
    assert (await asked.call("greet", state, answers, greeting="Begone"))["error"]["code"] == -32602


@pytest.mark.behaviour("rounds.expired-state-is-refused")
async def test_a_state_is_good_for_its_time_and_not_longer(asked, monkeypatch):
    state, answers = await asked.first_round("greet", greeting="Hello")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + LIFETIME_S - 30)
    assert "result" in await asked.call("greet", state, answers, greeting="Hello")
    monkeypatch.setattr(time, "time", lambda: now() + LIFETIME_S + 30)
    assert (await asked.call("greet", state, answers, greeting="Hello"))["error"]["code"] == -32602
