"""Whatever a handler returns, its client gets valid JSON that is true, and the connection goes on."""

from __future__ import annotations

import json

import pytest

KINDS = (
    "nothing",
    "object",
    "set",
    "nan",
    "great-number",
    "endless-number",
    "cycle",
    "deep",
    "surrogates",
    "surrogate-key",
    "bytes",
    "coroutine",
    "generator",
    "class",
    "number-keys",
    "control-characters",
)
ERRORS = (-32603, -32602)
"""The second is how the SDK takes a ValidationError of a low-level handler."""


def _is_an_answer(answer):
    """A result with content, or an error; strict JSON either way."""
    json.dumps(answer, allow_nan=False)
    return (
        isinstance(answer.get("result", {}).get("content"), list)
        or answer.get("error", {}).get("code") in ERRORS
    )


@pytest.mark.behaviour("handlers.nonsense-is-answered")
@pytest.mark.parametrize("tool", ["returns", "returns_structure", "returns_number"])
def test_nonsense_is_answered_on_every_transport_and_the_next_call_is_too(unruly, cell, tool):
    client = unruly().client(*cell)
    pid = client.text("who")
    for kind in KINDS:
        answer = client.call(tool, kind=kind)
        assert _is_an_answer(answer), (kind, answer)
        if tool == "returns_number" and kind != "great-number":
            assert answer.get("error") or answer["result"]["isError"], (kind, answer)
    assert client.text("who") == pid


@pytest.mark.parametrize("guest", ["on_lowlevel", "on_fastmcp"])
def test_guests_of_other_kinds_may_return_whatever_they_like_too(unruly, guest):
    client = unruly(guest).client()
    pid = client.text("who")
    tools = ("returns", "returns_structure", "returns_raw") if guest == "on_lowlevel" else ("returns",)
    for tool in tools:
        for kind in KINDS:
            answer = client.call(tool, kind=kind)
            assert _is_an_answer(answer), (tool, kind, answer)
    assert client.text("who") == pid


def test_a_great_number_arrives_as_it_is(unruly):
    client = unruly().client()
    answer = client.call("returns_number", kind="great-number")
    assert answer["result"]["structuredContent"] == {"result": 2**70}


@pytest.mark.behaviour("handlers.control-characters")
def test_text_with_control_characters_arrives_as_it_is(unruly, cell):
    client = unruly().client(*cell)
    assert client.text("returns", kind="control-characters") == "a\r\nb\0c\u2028d"


@pytest.mark.behaviour("handlers.huge-result")
def test_a_huge_result_arrives_whole(unruly, cell):
    client = unruly().client(*cell)
    assert len(client.text("returns", kind="huge")) == 24 * 1024 * 1024
    assert client.text("who")
