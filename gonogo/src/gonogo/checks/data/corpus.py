"""Hostile and broken requests for an MCP endpoint: what each sends, as data. Not a check.

Every case must be refused: with a 4xx, a JSON-RPC error, or a tool result that says isError. They are sent
to the candidate on the scratch copy, one after the other, and never again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gonogo.adapters.http import HttpAnswer, HttpReader
from gonogo.adapters.mcp import HANDSHAKE_VERSION, Era, McpClient
from gonogo.adapters.mcp_stream import events_in
from gonogo.model.errors import GonogoError

OVERSIZE_BYTES = 5 * 1024 * 1024
DEPTH = 2_000


@dataclass(frozen=True, slots=True)
class Case:
    """One request. ``path`` is appended to the candidate's base address; empty means the MCP endpoint."""

    name: str
    body: bytes = field(repr=False, default=b"")
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    path: str = ""
    may_be_cut: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case was answered.

    Attributes:
        status: 0 if the connection was closed without an answer.
        refused: whether the answer is a 4xx or 5xx, a JSON-RPC error or an isError result.
        text: headers and body as text, bounded.
    """

    name: str
    status: int
    refused: bool
    text: str
    code: int | None
    traced: bool


def cases(client: McpClient) -> Iterator[Case]:
    """All cases; ``client`` is a modern client of the endpoint, whose envelope they start from."""
    yield from _broken_bodies(client)
    yield from _broken_envelopes(client)
    yield from _broken_calls(client)
    yield from _broken_http(client)


async def send(case: Case, base_url: str, endpoint: str, http: HttpReader) -> Outcome:
    """Send one case.

    Raises:
        GonogoError: no answer where one is due.
    """
    url = base_url + case.path if case.path else endpoint
    try:
        answer = await http.request(case.method, url, headers=case.headers, content=case.body or None)
    except GonogoError:
        if not case.may_be_cut:
            raise
        return Outcome(case.name, 0, True, "", None, False)
    return _outcome(case, answer)


def _outcome(case: Case, answer: HttpAnswer) -> Outcome:
    code, is_error = None, False
    try:
        for message in events_in(answer):
            error, result = message.get("error"), message.get("result")
            if isinstance(error, dict):
                is_error, code = True, error.get("code")
            elif isinstance(result, dict) and result.get("isError") is True:
                is_error = True
    except GonogoError:
        pass  # a plain text body is fine for an HTTP error
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers)
    text = f"{headers}\n\n{answer.body[:4000].decode('utf-8', errors='replace')}"
    traced = any(name in {"x-request-id", "x-correlation-id", "traceresponse"} for name, _ in answer.headers)
    return Outcome(case.name, answer.status, is_error or answer.status >= 400, text, code, traced)


def _broken_bodies(client: McpClient) -> Iterator[Case]:
    head = client.headers("tools/list")
    good = json.dumps(client.message("tools/list"))
    yield Case("not JSON", b"{'single': 'quotes'}", head)
    yield Case("cut JSON", good[: len(good) // 2].encode(), head)
    yield Case("empty body", b" ", head)
    yield Case("a number", b"42", head)
    yield Case("null", b"null", head)
    yield Case("an empty batch", b"[]", head)
    yield Case("a batch", f"[{good},{good}]".encode(), head)
    yield Case("bad UTF-8", good.encode().replace(b"gonogo", b"\xff\xfe\xfa"), head)
    yield Case("deep nesting", b"[" * DEPTH + b"]" * DEPTH, head)
    deep = '{"a":' * DEPTH + "1" + "}" * DEPTH
    nested = client.message("tools/call", {"name": "x", "arguments": {}})
    yield Case(
        "deep arguments",
        json.dumps(nested).replace('"arguments": {}', f'"arguments": {deep}').encode(),
        client.headers("tools/call", {"name": "x"}),
    )  # fmt: skip - one thought
    yield Case(
        "oversize body", b'{"jsonrpc":"2.0","x":"' + b"a" * OVERSIZE_BYTES + b'"}', head, may_be_cut=True
    )


def _broken_envelopes(client: McpClient) -> Iterator[Case]:
    def case(name: str, change: dict[str, Any], headers: Mapping[str, str] | None = None) -> Case:
        message = client.message("tools/list") | change
        return Case(name, json.dumps(message).encode(), {**client.headers("tools/list"), **(headers or {})})

    yield case("wrong jsonrpc", {"jsonrpc": "1.0"})
    yield case("no method", {"method": None})
    yield case("method of a wrong type", {"method": 7}, {"mcp-method": "7"})
    yield case("params of a wrong type", {"params": [1, 2]})
    yield case("id null", {"id": None})
    yield case("id an object", {"id": {"a": 1}})
    yield case("no envelope", {"params": {}})
    yield case("unknown method", {"method": "tools/obliterate"}, {"mcp-method": "tools/obliterate"})
    yield case("header against body", {}, {"mcp-method": "resources/list"})
    yield case("unknown version in the header", {}, {"mcp-protocol-version": "2031-01-01"})
    yield case("a response", {"result": {}, "method": None})


def _broken_calls(client: McpClient) -> Iterator[Case]:
    def case(name: str, method: str, params: Mapping[str, Any]) -> Case:
        message = client.message(method, params)
        return Case(name, json.dumps(message).encode(), client.headers(method, message["params"]))

    yield case("unknown tool", "tools/call", {"name": "no_such_tool_" + "x" * 20, "arguments": {}})
    yield case("tool name of a wrong type", "tools/call", {"name": 5, "arguments": {}})
    yield case("arguments of a wrong type", "tools/call", {"name": "x", "arguments": "text"})
    yield case("unknown resource", "resources/read", {"uri": "nowhere://nothing"})
    yield case("a path that climbs", "resources/read", {"uri": "file:///../../../../etc/passwd"})
    yield case("a resource without address", "resources/read", {})
    yield case("unknown prompt", "prompts/get", {"name": "no_such_prompt", "arguments": {}})


def _broken_http(client: McpClient) -> Iterator[Case]:
    good = json.dumps(client.message("tools/list")).encode()
    head = client.headers("tools/list")
    handshake = {**McpClient(client.endpoint, client.http, Era.HANDSHAKE).headers("tools/list")}
    plain = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'
    yield Case("wrong content type", good, {**head, "content-type": "text/plain"})
    yield Case("nothing acceptable", good, {**head, "accept": "image/png"})
    yield Case("unknown session", plain, {**handshake, "mcp-session-id": "never-issued-0000000000000000"})
    yield Case("no session", plain, handshake)
    yield Case(
        "handshake of a wrong shape",
        b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"x":1}}',
        {**handshake, "mcp-protocol-version": HANDSHAKE_VERSION},
    )  # fmt: skip - one thought
    yield Case("a path that is not there", b"{}", head, path="/no/such/path")
    yield Case("a hidden file", method="GET", path="/.git/config")
    yield Case("a path that climbs out", method="GET", path="/mcp/%2e%2e/%2e%2e/etc/passwd")
    yield Case("method PUT", good, head, method="PUT")
    yield Case("method PATCH", good, head, method="PATCH")
    yield Case("oversize header", good, {**head, "x-filler": "a" * 200_000}, may_be_cut=True)
