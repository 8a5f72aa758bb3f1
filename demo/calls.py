"""The calls the client makes, what a right answer to each is, and how both eras put a call on the wire.

Pure: no sockets. Every judgement gives None for a right answer, or one sentence saying what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MODERN = "2026-07-28"
HANDSHAKE = "2025-11-25"
CLIENT = {"name": "demo", "version": "1"}
SEED_NOTES = 12
SEARCH_LIMIT = 5
_META = "io.modelcontextprotocol/"
_TOOLS = {
    "append_to_note",
    "create_note",
    "delete_note",
    "reindex",
    "search_notes",
    "summarise_tag",
    "word_count",
}

Result = Mapping[str, Any]
Judge = Callable[[Result], str | None]


@dataclass(frozen=True, slots=True)
class Call:
    """One request and its judge. ``tool`` results are unpacked before they are judged."""

    name: str
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    judge: Judge = lambda _result: None

    @property
    def routing_name(self) -> str:
        """What the modern era repeats in the Mcp-Name header."""
        return str(self.params.get("name") or self.params.get("uri") or "")


def tool(name: str, judge: Judge, **arguments: Any) -> Call:
    """A call of a tool; ``judge`` sees its structured answer."""
    return Call(name, "tools/call", {"name": name, "arguments": arguments}, judge)


def seed_title(number: int) -> str:
    """Title of one of the notes that the client makes before it starts."""
    return f"Release note {number}"


def seed_body(number: int) -> str:
    """Its body."""
    return f"Rehearse the rollback before the rollout; rehearsal {number} of {SEED_NOTES}."


def rotation(seeds: Sequence[str], number: int) -> list[Call]:
    """What one worker asks in one round; ``number`` makes its new note recognisable."""
    seed = number % len(seeds)
    text = f"traffic number {number}"
    return [
        tool("word_count", expect({"words": 3, "characters": len(text), "lines": 1}), text=text),
        tool("search_notes", judge_search, query="release", limit=SEARCH_LIMIT),
        Call("read note", "resources/read", {"uri": f"note://{seeds[seed]}"}, judge_note(seed)),
        tool("summarise_tag", judge_summary, tag="seed"),
        tool("search_notes", judge_search, query="rollback rehears", limit=SEARCH_LIMIT),
        Call("list tools", "tools/list", {}, judge_tools),
    ]


def expect(wanted: Mapping[str, Any]) -> Judge:
    """The answer holds exactly these values under these names."""

    def judge(result: Result) -> str | None:
        got = {name: result.get(name) for name in wanted}
        return None if got == wanted else f"expected {json.dumps(wanted)}, got {json.dumps(got)}"

    return judge


def judge_search(result: Result) -> str | None:
    """Five hits, all of them seeds."""
    titles = [hit.get("title", "") for hit in result.get("hits", [])]
    seeds = {seed_title(number) for number in range(SEED_NOTES)}
    if len(titles) == SEARCH_LIMIT and len(set(titles)) == SEARCH_LIMIT and set(titles) <= seeds:
        return None
    return f"expected {SEARCH_LIMIT} different seed notes, got {titles}"


def judge_note(number: int) -> Judge:
    """The text of a seed note, whole."""
    wanted = f"# {seed_title(number)}\n#seed\n\n{seed_body(number)}"

    def judge(result: Result) -> str | None:
        got = text_of(result)
        return None if got == wanted else f"expected {wanted!r}, got {got!r}"

    return judge


def judge_summary(result: Result) -> str | None:
    """What the seed notes have in common; nobody changes them, so it is known."""
    words = ["before", "rehearsal", "rehearse", "rollback", "rollout"]
    return expect({"tag": "seed", "notes": SEED_NOTES, "frequent_words": words})(result)


def judge_tools(result: Result) -> str | None:
    """At least the tools that every release has."""
    missing = _TOOLS - {item.get("name") for item in result.get("tools", [])}
    return f"tools are missing: {', '.join(sorted(missing))}" if missing else None


def text_of(result: Result) -> str:
    """The text of a resource."""
    return str(next((content.get("text", "") for content in result.get("contents", [])), ""))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One judged answer: ``kind`` is "" if it is right."""

    kind: str
    reason: str
    release: str


def judge_answer(call: Call, message: Mapping[str, Any]) -> Outcome:
    """Judge the JSON-RPC message that answered ``call``."""
    if "error" in message:
        error = message["error"]
        data = error.get("data")
        release = data.get("release", "") if isinstance(data, dict) else ""
        return Outcome("rpc-error", f"{error.get('code')} {error.get('message')}", release)
    result = message.get("result")
    if not isinstance(result, dict):
        return Outcome("wrong-answer", f"neither result nor error, got {sorted(message)}", "")
    release = release_of(result)
    if call.method == "tools/call":
        if result.get("isError"):
            return Outcome("tool-error", json.dumps(result.get("content"))[:200], release)
        result = result.get("structuredContent") or {}
    wrong = call.judge(result)
    return Outcome("wrong-answer", wrong, release) if wrong else Outcome("", "", release)


def release_of(result: Result) -> str:
    """The release that a modern result names in its metadata; "" in the handshake era."""
    info = (result.get("_meta") or {}).get(_META + "serverInfo") or {}
    return str(info.get("version", ""))


def modern_request(call: Call, request_id: int | str) -> tuple[dict[str, str], bytes]:
    """Headers and body of ``call`` in the modern era."""
    headers = _accepting() | {"MCP-Protocol-Version": MODERN, "Mcp-Method": call.method}
    if call.routing_name:
        headers["Mcp-Name"] = call.routing_name
    meta = {
        _META + "protocolVersion": MODERN,
        _META + "clientCapabilities": {},
        _META + "clientInfo": CLIENT,
    }
    return headers, _body(call.method, {**call.params, "_meta": meta}, request_id)


def handshake_request(call: Call, request_id: int, session: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of ``call`` in a handshake session; ``session`` is "" before there is one."""
    headers = _accepting()
    if session:
        headers |= {"Mcp-Session-Id": session, "MCP-Protocol-Version": HANDSHAKE}
    return headers, _body(call.method, call.params, request_id)


def initialize() -> Call:
    """The call that begins a handshake session."""

    def judge(result: Result) -> str | None:
        got = result.get("protocolVersion"), (result.get("serverInfo") or {}).get("name")
        return None if got == (HANDSHAKE, "notes") else f"expected {HANDSHAKE} from notes, got {got}"

    params = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": CLIENT}
    return Call("initialize", "initialize", params, judge)


def initialized() -> bytes:
    """The notification that ends the handshake."""
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}).encode()


def _accepting() -> dict[str, str]:
    return {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def _body(method: str, params: Mapping[str, Any], request_id: int | str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()
