"""A token that is good, but not for this: the client hears what it needs, the handler never runs."""

import logging

import pytest

pytestmark = pytest.mark.anyio

TOOLS = ["at_once", "in_a_thread", "with_context"]
RULES = [
    {"tools": (*TOOLS, "fast_caller"), "scopes": ("call",)},
    {"resources": ("callers://*",), "scopes": ("read",)},
]
CHANNELS = [
    ("tcp", "modern"),
    ("tcp", "handshake"),
    ("websocket", "modern"),
    ("websocket", "handshake"),
    ("sse", "handshake"),
]
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "r", "version": "0"},
}


@pytest.fixture
def caller(raw, tokens):
    """A function that makes the header fields of somebody with some scopes."""

    def make(name, *scopes):
        return {"authorization": f"Bearer {tokens.add(name, *scopes)}"}

    return make


@pytest.fixture
def guarded(serve, tokens):
    """Starts a server with rules of scopes."""

    async def start(target="callers.py:server", **auth):
        return await serve(
            target, auth={"tokens_file": str(tokens.path), "scopes": RULES, "reload_interval_s": 0.05, **auth}
        )

    return start


def is_forbidden(reply, scope="call"):
    return (
        reply.status == 403
        and f'scope="{scope}", error="insufficient_scope"' in reply.headers["www-authenticate"]
        and reply.json["id"] == 1
        and reply.json["error"]["code"] == -31403
        and reply.json["error"]["data"] == {"error": "insufficient_scope", "scope": scope}
    )


@pytest.mark.behaviour("auth.scopes-needed", transport="http", era="modern")
@pytest.mark.parametrize("tool", TOOLS)
async def test_a_call_is_refused_however_its_tool_runs_and_one_with_the_scope_is_served(
    guarded, caller, raw, tool
):
    weak, strong = caller("weak", "other"), caller("strong", "call")
    served = await guarded()
    client = await served.connect()
    message = raw.modern("tools/call", name=tool, arguments={})
    headers = raw.modern_headers(message)
    for _ in range(3):  # from the second time on the head of the request is known
        assert is_forbidden(await client.call(message, headers={**headers, **weak}))
        reply = await client.call(message, headers={**headers, **strong})
        assert (reply.status, reply.json["result"]["content"][0]["text"]) == (200, "strong call")
    assert served.rejected("scope") == 3
    assert served.outcomes("tools/call") == {"client_error": 3, "ok": 3}


@pytest.mark.behaviour("auth.scopes-needed", transport="http", era="handshake")
@pytest.mark.parametrize("tool", TOOLS)
async def test_it_is_so_in_a_session(guarded, caller, raw, tool):
    weak, strong = caller("weak", "other"), caller("strong", "call")
    served = await guarded()
    for who, status in ((weak, 403), (strong, 200)):
        client = await served.connect()
        begun = await client.call(raw.handshake("initialize", **INITIALIZE), headers=who)
        fields = {"mcp-session-id": begun.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        for _ in range(3):
            reply = await client.call(
                raw.handshake("tools/call", name=tool, arguments={}), headers={**who, **fields}
            )
            assert reply.status == status
            assert status == 200 or is_forbidden(reply)


async def test_in_a_batch_one_call_is_refused_and_the_others_are_served(guarded, caller, raw):
    weak = caller("weak", "read")
    served = await guarded()
    client = await served.connect()
    params = {**INITIALIZE, "protocolVersion": "2025-03-26"}
    begun = await client.call(raw.handshake("initialize", **params), headers=weak)
    fields = {**weak, "mcp-session-id": begun.headers["mcp-session-id"]}
    batch = [
        raw.handshake("tools/call", 1, name="at_once", arguments={}),
        raw.handshake("resources/read", 2, uri="callers://me"),
    ]
    answers = {each["id"]: each for each in (await client.call(batch, headers=fields)).json}
    assert answers[1]["error"]["code"] == -31403
    assert answers[2]["result"]["contents"][0]["text"] == "weak read"


async def opened(channel, dialect, served, token, raw):
    """A channel that takes requests, and how they are made."""
    transport, era = dialect
    client = await channel(transport, served, token)
    if era == "modern":
        return client, raw.modern
    await client.send(raw.handshake("initialize", "init", **INITIALIZE))
    assert (await client.receive())["id"] == "init"
    return client, raw.handshake


@pytest.mark.behaviour("auth.scopes-needed")
@pytest.mark.parametrize("dialect", CHANNELS, ids="-".join)
async def test_on_a_channel_the_request_is_refused_and_the_channel_lives(
    guarded, tokens, channel, raw, dialect
):
    weak = tokens.add("weak", "read")
    client, make = await opened(channel, dialect, await guarded(), weak, raw)
    for number, tool in enumerate(TOOLS):
        await client.send(make("tools/call", number, name=tool, arguments={}))
        answer = await client.receive()
        assert answer["id"] == number
        assert (answer["error"]["code"], answer["error"]["data"]["scope"]) == (-31403, "call")
    await client.send(make("resources/read", 9, uri="callers://me"))
    assert (await client.receive())["result"]["contents"][0]["text"] == "weak read"
    client.close()


@pytest.mark.parametrize("dialect", CHANNELS, ids="-".join)
async def test_a_channel_whose_token_has_the_scope_is_served(guarded, tokens, channel, raw, dialect):
    strong = tokens.add("strong", "call")
    client, make = await opened(channel, dialect, await guarded(), strong, raw)
    for number, tool in enumerate(TOOLS):
        await client.send(make("tools/call", number, name=tool, arguments={}))
        assert (await client.receive())["result"]["content"][0]["text"] == "strong call"
    client.close()


async def test_a_resource_is_refused_before_its_handler_and_in_another_spelling_too(guarded, caller, raw):
    weak = caller("weak", "call")
    served = await guarded()
    for uri in ("callers://me", "CALLERS://me", "callers://%6De"):
        message = raw.modern("resources/read", uri=uri)
        reply = await (await served.connect()).call(message, headers={**raw.modern_headers(message), **weak})
        assert is_forbidden(reply, "read")


async def test_what_no_rule_names_needs_nothing_more(guarded, caller, raw):
    weak = caller("weak")
    served = await guarded()
    message = raw.modern("tools/list")
    reply = await (await served.connect()).call(message, headers={**raw.modern_headers(message), **weak})
    assert reply.status == 200
    assert {each["name"] for each in reply.json["result"]["tools"]} == set(TOOLS), "to know of it is no call"


async def test_a_broader_scope_does_also_for_what_all_need(guarded, caller, raw):
    admin, weak = caller("admin", "admin"), caller("weak", "call")
    broader = [{"scope": "admin", "includes": ("call", "base")}]
    served = await guarded(broader_scopes=broader, required_scopes=("base",))
    message = raw.modern("tools/call", name="at_once", arguments={})
    for who, status in ((admin, 200), (weak, 403)):
        reply = await (await served.connect()).call(message, headers={**raw.modern_headers(message), **who})
        assert reply.status == status


async def test_fastmcp_tools_are_guarded_alike(guarded, caller, raw):
    weak, strong = caller("weak"), caller("strong", "call")
    served = await guarded("callers.py:fast")
    message = raw.modern("tools/call", name="fast_caller", arguments={})
    for who, status in ((weak, 403), (strong, 200)):
        reply = await (await served.connect()).call(message, headers={**raw.modern_headers(message), **who})
        assert reply.status == status


async def test_the_challenge_says_where_tokens_are_issued(guard, issuer, raw):
    served = await guard(scopes=[{"tools": ("add",), "scopes": ("call",)}])
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
    for scope, status in (("read", 403), ("read call", 200)):
        headers = {
            **raw.modern_headers(message),
            "authorization": f"Bearer {issuer.token(scope=scope)}",
        }
        reply = await (await served.connect()).call(message, headers=headers)
        assert reply.status == status
        if status == 403:
            where = reply.json["error"]["data"]["resource_metadata"]
            assert f'resource_metadata="{where}"' in reply.headers["www-authenticate"]
            assert where.endswith("/.well-known/oauth-protected-resource/mcp")


async def test_a_rule_that_protects_nothing_the_guest_has_is_warned_of(guarded, caplog):
    wrong = {"tools": ("at_once", "in_a_tread"), "prompts": ("nobodys",), "scopes": ("call",)}
    await guarded(scopes=[wrong])
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert ["in_a_tread" in warned[0], "nobodys" in warned[1], len(warned)] == [True, True, 2]
    assert all("auth.rule-protects-nothing" in each for each in warned)
