"""The full round: what every client does with a server, and what it must see.

An act has a kind that each driver knows how to do, plain arguments, and what must be observed. Drivers give
observations in one form whatever their language, so one comparison judges them all. What differs between
eras or guests is said here; what a client cannot do is said with its lane, in ``round_lanes``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

HANDSHAKE, MODERN = "handshake", "modern"
BOTH = (HANDSHAKE, MODERN)

INVALID_PARAMS = -32602

TOOLS = [
    "add", "ask_model", "ask_person", "ask_roots", "chatter", "come_back", "fail", "grow", "kinds", "linger",
    "measure", "round_model", "round_person", "round_roots", "steps",
]  # fmt: skip

ANSWERS = {"name": "Ada", "said": "hello", "root": "file:///srv/ada"}
"""What the client answers when it is asked: the form, the model, the roots."""

ANY = object()
"""Expected: whatever it is."""

UNTOLD = "the client does not tell"
"""Observed: something that a client keeps from its user."""


@dataclass(frozen=True)
class OneOf:
    """Any of these will do, since the SDKs differ and the specification allows it."""

    choices: tuple[Any, ...]


@dataclass(frozen=True)
class Act:
    """One thing that a client does."""

    name: str
    kind: str
    expected: Any
    arguments: dict[str, Any] = field(default_factory=dict)
    eras: tuple[str, ...] = BOTH
    guests: tuple[str, ...] = ("round_sdk", "round_fastmcp")


def said(text: str, **more: Any) -> dict[str, Any]:
    """The observation of a call that went well and answered one text."""
    return {"text": text, "structured": None, "error": False, "kinds": ["text"], **more}


def acts(era: str, guest: str, fate: str) -> list[Act]:
    """The round in one era, against one guest; ``fate`` is the file of the call that is cancelled."""
    every = [*_tools(era, guest, fate), *_resources(), *_prompts(), *_asked(era)]
    return [act for act in every if era in act.eras and guest in act.guests]


def _tools(era: str, guest: str, fate: str) -> Iterable[Act]:
    names = sorted([*TOOLS, "touch"]) if guest == "round_sdk" else TOOLS
    yield Act(
        "connect",
        "connect",
        {"server": "full-round 3.2.1", "instructions": "Everything that a client can ask for.", "era": era},
    )
    yield Act("list-tools", "list_tools", {"names": names, "structured": ["add", "measure"]})
    yield _call("ok", "add", said("5", structured={"result": 5}), a=2, b=3)
    structured = {"text": "four", "size": 4}
    yield _call("structured", "measure", said(ANY, structured=structured), text="four")
    yield _call("kinds", "kinds", said("a text", kinds=["text", "image", "audio"]))
    yield _call("failure", "fail", said(ANY, error=True))
    invalid = OneOf((said(ANY, error=True), {"refused": INVALID_PARAMS}))
    yield _call("invalid-arguments", "add", invalid, a="two", b=3)
    yield _call("unknown-tool", "no_such_tool", invalid)
    heard = [[1, 3], [2, 3], [3, 3]]
    yield Act("progress", "progress", said("three steps", heard=heard), {"tool": "steps"})
    yield Act("cancel", "cancel", {"heard": [[1, 2]]}, {"tool": "linger", "arguments": {"path": fate}})
    yield Act("come-back", "progress", said("all told", heard=[[1, 2], [2, 2]]), {"tool": "come_back"})
    logs = {"tool": "chatter", "level": "warning", "below": ["debug", "info", "notice"]}
    yield Act("log", "log", ["warning", "error"], logs)
    changes = {"tool": "grow", "arguments": {}}
    eras = BOTH if guest == "round_sdk" else (HANDSHAKE,)
    yield Act("tools-changed", "tools_changed", "changed", changes, eras)


def _call(name: str, tool: str, expected: Any, **arguments: Any) -> Act:
    return Act(f"call-{name}", "call", expected, {"tool": tool, "arguments": arguments})


def _resources() -> Iterable[Act]:
    yield Act("list-resources", "list_resources", ["round://note", "round://picture"])
    yield Act("list-templates", "list_templates", ["round://word/{word}"])
    yield Act("read-text", "read", ["text/plain", "a note"], {"uri": "round://note"})
    picture = ["image/png", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="]  # fmt: skip # noqa: E501 - one picture
    yield Act("read-blob", "read", picture, {"uri": "round://picture"})
    yield Act("read-template", "read", ["text/plain", "the word tea"], {"uri": "round://word/tea"})
    unknown = {"uri": "round://nothing"}
    yield Act("read-unknown", "read", {"refused": INVALID_PARAMS}, unknown)  # both SDKs, in both eras
    watch = {"uri": "round://note", "tool": "touch", "arguments": {"uri": "round://note"}}
    yield Act("watch", "watch", "round://note", watch, guests=("round_sdk",))


def _prompts() -> Iterable[Act]:
    yield Act("list-prompts", "list_prompts", [["greet", ["name", "mood"]]])
    words = [["user", "Say something kind to Ada."]]
    yield Act("get-prompt", "get_prompt", words, {"name": "greet", "arguments": {"name": "Ada"}})
    refused = {"refused": INVALID_PARAMS}
    yield Act("unknown-prompt", "get_prompt", refused, {"name": "nothing", "arguments": {}})
    prompt = {"type": "ref/prompt", "name": "greet"}
    argument = {"name": "mood", "value": "tea"}
    yield Act("complete", "complete", ["tea", "teapot"], {"ref": prompt, "argument": argument})
    template = {"type": "ref/resource", "uri": "round://word/{word}"}
    argument = {"name": "word", "value": "w"}
    yield Act("complete-template", "complete", ["water"], {"ref": template, "argument": argument})


def _asked(era: str) -> Iterable[Act]:
    way = "ask" if era == HANDSHAKE else "round"
    for what, answer in (
        ("person", f"accept {ANSWERS['name']}"),
        ("model", "hello"),
        ("roots", "file:///srv/ada"),
    ):
        yield _call(f"asks-for-{what}", f"{way}_{what}", said(answer))
    yield Act("ping", "ping", "pong", eras=(HANDSHAKE,))


def agrees(expected: Any, seen: Any) -> bool:
    """Whether an observation is what is expected."""
    if expected is ANY or seen == UNTOLD:
        return True
    if isinstance(expected, OneOf):
        return any(agrees(choice, seen) for choice in expected.choices)
    if isinstance(expected, dict) and isinstance(seen, dict):
        return expected.keys() == seen.keys() and all(agrees(expected[key], seen[key]) for key in expected)
    return type(expected) is type(seen) and expected == seen


def faults(round_of: Iterable[Act], seen: dict[str, Any], lacks: Iterable[str]) -> list[str]:
    """What is wrong with the observations of a round, one line for each.

    An act that a client is said to lack must not have been done, or the claim would outlive its reason.
    """
    lines, lacking = [], set(lacks)
    for act in round_of:
        if act.name in lacking:
            if act.name in seen:
                lines.append(f"{act.name}: said to be lacking, but it was done")
        elif act.name not in seen:
            lines.append(f"{act.name}: not done")
        elif not agrees(act.expected, seen[act.name]):
            lines.append(f"{act.name}: expected {act.expected!r}, saw {seen[act.name]!r}")
    return lines
