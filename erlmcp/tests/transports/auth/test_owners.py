"""What one caller has begun belongs to it: to anybody else, with a good token or none, it does not exist."""

from pathlib import Path

import pytest

from erlmcp.protocol.tasks import UNKNOWN_TASK
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing

pytestmark = pytest.mark.anyio

TASKS = Path(__file__).parents[2] / "tasks/guests"

ADD = {"name": "add", "arguments": {"a": 2, "b": 3}}
ASKED_META = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


class Caller:
    """A client with a token, or without one."""

    def __init__(self, raw, token=None):
        self._raw = raw
        self.credential = {} if token is None else {"authorization": f"Bearer {token}"}

    @property
    def field(self):
        """The line of the head that says who it is."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.credential.items())

    async def post(self, served, message, **headers):
        client = await served.connect()
        return await client.call(message, headers={**self.credential, **headers})

    async def begin(self, served):
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "r", "version": "0"},
        }
        reply = await self.post(served, self._raw.handshake("initialize", **params))
        assert reply.status == 200, reply.body
        return reply.headers["mcp-session-id"]

    async def add(self, served, session):
        """The status of a call of a compiled tool in a session."""
        headers = {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
        return (await self.post(served, self._raw.handshake("tools/call", **ADD), **headers)).status

    async def modern(self, served, method, **params):
        message = self._raw.modern(method, **params)
        named = {"mcp-name": params["taskId"]} if "taskId" in params else {}
        return (await self.post(served, message, **self._raw.modern_headers(message), **named)).json

    async def ask(self, served, verb, session, **headers):
        """The status of a request without a body."""
        fields = {"Host": "127.0.0.1", "Accept": "text/event-stream", "Mcp-Session-Id": session}
        lines = [f"{name}: {value}\r\n" for name, value in {**fields, **self.credential, **headers}.items()]
        client = await served.connect()
        await client.send(f"{verb} /mcp HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        return (await client.head()).status


@pytest.fixture
def alice(raw, tokens):
    return Caller(raw, tokens.add("alice", "notes:read"))


@pytest.fixture
def bob(raw, tokens):
    return Caller(raw, tokens.add("bob"))


@pytest.fixture
def guarded(serve, tokens, alice, bob):
    """Starts a server that asks for tokens."""

    async def start(target="workshop.py:fresh", **given):
        return await serve(target, auth={"tokens_file": str(tokens.path)}, **given)

    return start


async def test_a_session_is_its_owners_at_every_worker_and_unknown_to_others(guarded, alice, bob):
    bus = LocalBus()
    workers = [await guarded(bus=bus), await guarded(bus=bus)]
    session = await alice.begin(workers[0])
    for served in workers:
        for _ in range(3):  # from the second time on the head of the request is known
            assert await alice.add(served, session) == 200
            assert await bob.add(served, session) == 404
        assert await bob.ask(served, "GET", session) == 404
        assert await bob.ask(served, "DELETE", session) == 404
    assert await alice.add(workers[1], session) == 200, "it has not been ended by anybody else"
    assert await alice.ask(workers[1], "DELETE", session) == 200


async def test_somebody_elses_session_is_told_in_the_same_words_as_an_invented_one(guarded, alice, bob, raw):
    served = await guarded()
    session = await alice.begin(served)
    headers = {"mcp-protocol-version": "2025-11-25"}
    replies = [
        await bob.post(served, raw.handshake("ping"), **{**headers, "mcp-session-id": named})
        for named in (session, "invented")
    ]
    assert replies[0].status == replies[1].status == 404
    assert replies[0].json == replies[1].json


async def test_one_connection_that_changes_its_token_changes_its_owner(guarded, alice, bob, raw):
    served = await guarded()
    session = await alice.begin(served)
    client = await served.connect()
    headers = {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
    statuses = [
        (await client.call(raw.handshake("tools/call", **ADD), headers={**headers, **who.credential})).status
        for who in (alice, bob, alice, bob, alice)
    ]
    assert statuses == [200, 404, 200, 404, 200]


async def test_sessions_of_a_server_that_asked_nobody_end_when_it_begins_to_ask(serve, guarded, alice, raw):
    ring, nobody = KeyRing([KeyRing.generate()]), Caller(raw)
    open_to_all = await serve(ring=ring)
    session = await nobody.begin(open_to_all)
    assert await nobody.add(open_to_all, session) == 200
    assert await alice.add(await guarded(ring=ring), session) == 404


async def test_a_stream_is_taken_up_by_its_owner_alone(guarded, alice, bob):
    served = await guarded("talkative.py:server")
    session = await alice.begin(served)
    assert await bob.ask(served, "GET", session, **{"Last-Event-ID": "s0000000000000000-1"}) == 404
    assert await alice.ask(served, "GET", session) == 200


async def test_the_state_of_a_call_is_good_for_its_owner_alone(guarded, alice, bob):
    served = await guarded("asking.py:make")
    asked = (await alice.modern(served, "tools/call", name="ask_name", _meta=ASKED_META))["result"]
    assert asked["resultType"] == "input_required"
    answer = {"action": "accept", "content": {"name": "Ada"}}
    again = {
        "name": "ask_name",
        "inputResponses": dict.fromkeys(asked["inputRequests"], answer),
        "requestState": asked["requestState"],
        "_meta": ASKED_META,
    }
    assert (await bob.modern(served, "tools/call", **again))["error"]["code"] == -32602
    assert (await alice.modern(served, "tools/call", **again))["result"]["content"][0]["text"] == "Ada"


async def test_messages_reach_the_stream_of_their_owner_alone_also_through_another_worker(
    guarded, alice, bob, raw
):
    bus = LocalBus()
    workers = [await guarded(bus=bus), await guarded(bus=bus)]
    client = await workers[0].connect()
    await client.send(f"GET /sse HTTP/1.1\r\nHost: 127.0.0.1\r\n{alice.field}\r\n".encode())
    assert (await client.head()).status == 200
    address = (await anext(client.chunks())).decode().partition("data: ")[2].strip()
    for who, status in ((bob, 404), (alice, 202)):
        for served in workers:
            poster = await served.connect()
            fields = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(PING)}\r\n"
            await poster.send(f"POST {address} HTTP/1.1\r\n{fields}{who.field}\r\n".encode() + PING)
            assert (await poster.reply()).status == status


async def test_a_task_is_its_owners_alone_whatever_the_transport(guarded, alice, bob, lines, raw, tokens):
    served = await guarded(str(TASKS / "on_sdk.py:server"))
    declared = {
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    }

    async def over_tcp(caller, method, **params):
        client = await lines(served)
        await client.send({"authorization": f"Bearer {tokens.of[caller]}"})
        await client.send(raw.modern(method, _meta=declared, **params))
        answer = await client.receive()
        client.close()
        return answer

    asked = {"name": "job", "arguments": {}}
    by_tcp = (await over_tcp("alice", "tools/call", **asked))["result"]["taskId"]
    by_http = (await alice.modern(served, "tools/call", _meta=declared, **asked))["result"]["taskId"]
    for task in (by_tcp, by_http):
        for refused in (
            await over_tcp("bob", "tasks/get", taskId=task),
            await bob.modern(served, "tasks/get", taskId=task, _meta=declared),
        ):
            assert refused["error"]["message"] == UNKNOWN_TASK.message
        assert (await over_tcp("alice", "tasks/get", taskId=task))["result"]["taskId"] == task
        assert (await alice.modern(served, "tasks/get", taskId=task, _meta=declared))["result"][
            "taskId"
        ] == task


@pytest.mark.parametrize("tool", ["at_once", "in_a_thread", "with_context"])
async def test_a_tool_knows_who_calls_however_it_runs(guarded, alice, bob, raw, lines, tokens, tool):
    served = await guarded("callers.py:server")
    call = {"name": tool, "arguments": {}}
    for _ in range(3):  # from the second time on the head of the request is known
        for who, told in ((alice, "alice notes:read"), (bob, "bob ")):
            assert (await who.modern(served, "tools/call", **call))["result"]["content"][0]["text"] == told
    client = await lines(served)
    await client.send({"authorization": f"Bearer {tokens.of['bob']}"})
    for number in range(3):
        await client.send(raw.modern("tools/call", number, **call))
        assert (await client.receive())["result"]["content"][0]["text"] == "bob "
    client.close()


async def test_handlers_of_the_kernel_and_fastmcps_know_who_calls(guarded, alice, serve, raw):
    served = await guarded("callers.py:server")
    told = (await alice.modern(served, "resources/read", uri="callers://me"))["result"]["contents"][0]["text"]
    assert told == "alice notes:read"
    fast = await guarded("callers.py:fast")
    told = (await alice.modern(fast, "tools/call", name="fast_caller", arguments={}))["result"]["content"][0][
        "text"
    ]
    assert told == "alice notes:read"


async def test_where_nobody_is_asked_there_is_no_caller_even_after_one_was(guarded, serve, raw, alice):
    served = await guarded("callers.py:server")
    await alice.modern(served, "tools/call", name="at_once", arguments={})
    open_to_all = await serve("callers.py:server")
    for tool in ("at_once", "in_a_thread", "with_context"):
        answer = await Caller(raw).modern(open_to_all, "tools/call", name=tool, arguments={})
        assert answer["result"]["content"][0]["text"] == "nobody"


async def test_a_modern_request_has_no_session_whatever_its_header_says(serve, raw):
    served, nobody = await serve("callers.py:fast"), Caller(raw)
    session = await nobody.begin(served)
    headers = {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
    kept = raw.handshake("tools/call", name="remember", arguments={"word": "swordfish"})
    assert (await nobody.post(served, kept, **headers)).status == 200
    again = raw.handshake("tools/call", name="recall", arguments={})
    assert (await nobody.post(served, again, **headers)).json["result"]["content"][0]["text"] == "swordfish"
    stranger = raw.modern("tools/call", name="recall", arguments={})
    fields = {**raw.modern_headers(stranger), "mcp-session-id": session}
    for _ in range(2):
        answer = await nobody.post(served, stranger, **fields)
        assert b"swordfish" not in answer.body
