"""Keys of issuers come, go and cannot be had: what tokens are worth meanwhile."""

import asyncio
import json
import time

import jwt
import pytest
from doors import DOORS, INSIDE

from erlmcp.edge.auth.fetching import MAX_ANSWER_BYTES

pytestmark = pytest.mark.anyio


async def test_a_new_key_is_found_when_its_first_token_comes(guard, issuer, refusal):
    served = await guard(keys_cooldown_s=0.01)
    assert await refusal(served, issuer.token()) == ""
    issuer.add_key("k2")
    await asyncio.sleep(0.02)  # the cool-down, which is what this is about
    assert await refusal(served, issuer.token("k2")) == ""
    assert issuer.asked["/jwks"] == 2


async def test_a_flood_of_unknown_keys_asks_the_issuer_once_in_a_while(guard, issuer, refusal):
    served = await guard(keys_cooldown_s=60)
    assert await refusal(served, issuer.token()) == ""
    for number in range(50):
        why = await refusal(served, issuer.token(headers={"kid": f"invented{number}"}))
        assert why == "the token is signed with a key that its issuer does not publish"
    assert issuer.asked["/jwks"] == 1
    assert await refusal(served, issuer.token()) == ""


async def test_many_who_wait_for_a_new_key_share_one_answer(guard, issuer, knock, raw):
    served = await guard(keys_cooldown_s=0.01)
    await knock("post", served, f"Bearer {issuer.token()}")
    issuer.add_key("k2")
    issuer.hold()
    await asyncio.sleep(0.02)  # the cool-down
    asking = [asyncio.create_task(knock("post", served, f"Bearer {issuer.token('k2')}")) for _ in range(20)]
    await raw.until(lambda: served.runtime.counts().in_flight == 20, "twenty waiting")
    issuer.release()
    assert [status for status, _ in await asyncio.gather(*asking)] == [200] * 20
    assert issuer.asked["/jwks"] == 2


async def test_a_client_that_leaves_while_its_token_is_asked_about_leaves_nothing(guard, issuer, knock, raw):
    issuer.hold()
    served = await guard()
    client = await served.connect()
    await client.send(knock.request("post", f"Bearer {issuer.token()}"))
    await raw.until(lambda: served.runtime.counts().in_flight == 1, "waiting")
    client.close()
    await raw.until(lambda: served.runtime.counts().in_flight == 0, "gone")
    issuer.release()
    assert (await knock("post", served, f"Bearer {issuer.token()}"))[0] == 200


async def test_a_token_ends_with_its_key_on_every_way_and_its_connections_too(guard, issuer, knock, raw):
    issuer.add_key("k2")
    served = await guard(keys_refresh_s=0.05)
    credential = f"Bearer {issuer.token('k2')}"
    socket = await served.connect()
    await socket.send(knock.request("websocket", credential))
    assert (await socket.head()).status == 101
    for door in DOORS:
        assert (await knock(door, served, credential))[0] == INSIDE[door]
    issuer.withdraw("k2")
    await socket.rest()
    for door in DOORS:
        assert (await knock(door, served, credential))[0] == 401
    assert (await knock("post", served, f"Bearer {issuer.token()}"))[0] == 200


async def test_a_kept_verdict_ends_with_the_token_also_for_calls_at_once(guard, issuer, raw):
    served = await guard(clock_skew_s=0)
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
    token = issuer.token(exp=int(time.time()) + 2)
    headers = {**raw.modern_headers(message), "authorization": f"Bearer {token}"}
    client = await served.connect()
    statuses = [(await client.call(message, headers=headers)).status for _ in range(4)]
    assert statuses == [200] * 4
    async with asyncio.timeout(20):
        while (reply := await client.call(message, headers=headers)).status == 200:
            assert time.time() < jwt.decode(token, options={"verify_signature": False})["exp"] + 0.5
    assert 'error_description="the token has expired"' in reply.headers["www-authenticate"]


async def test_keys_hold_while_the_issuer_does_not_answer_but_not_for_ever(guard, issuer, knock, raw):
    served = await guard(keys_refresh_s=0.05, keys_max_age_s=1.0)
    credential = f"Bearer {issuer.token()}"
    assert (await knock("post", served, credential))[0] == 200
    socket = await served.connect()
    await socket.send(knock.request("websocket", credential))
    assert (await socket.head()).status == 101
    before = issuer.asked["/jwks"]
    issuer.answers["/jwks"] = (500, b"", {})
    await raw.until(lambda: issuer.asked["/jwks"] > before + 1, "asked in vain")
    assert (await knock("post", served, credential))[0] == 200
    async with asyncio.timeout(20):
        while (answer := await knock("post", served, credential))[0] == 200:
            pass
    assert (answer[0], answer[1]["retry-after"]) == (503, "5")
    await socket.rest()
    del issuer.answers["/jwks"]
    async with asyncio.timeout(20):
        while (await knock("post", served, credential))[0] == 503:
            pass
    assert (await knock("post", served, credential))[0] == 200


@pytest.mark.parametrize("door", DOORS)
async def test_before_there_are_keys_nobody_is_let_in_and_nobody_told_that_his_token_is_bad(
    guard, issuer, knock, door
):
    issuer.answers["/jwks"] = (503, b"", {})
    served = await guard()
    status, fields = await knock(door, served, f"Bearer {issuer.token()}")
    if door == "tcp":
        assert fields["error"] == "temporarily_unavailable"
    else:
        assert (status, "www-authenticate" in fields) == (503, False)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"{}", {}),
        (200, b"[]", {}),
        (200, b'{"keys": {}}', {}),
        (200, b"no json", {}),
        (200, b'{"keys": [' + b" " * MAX_ANSWER_BYTES + b"]}", {}),
        (200, b"\x1f\x8b", {"Content-Encoding": "gzip"}),
        (302, b"", {"Location": "/elsewhere"}),
        (404, b"", {}),
    ],
)
async def test_what_is_no_set_of_keys_opens_nothing_and_is_told(guard, issuer, refusal, answer, caplog):
    issuer.answers["/jwks"] = answer
    assert await refusal(await guard(), issuer.token()) == "unavailable"
    assert "auth.keys-not-fetched" in caplog.text
    assert "/elsewhere" not in issuer.asked


async def test_an_issuer_that_does_not_answer_is_not_waited_for(guard, issuer, refusal):
    issuer.hold()
    served = await guard(fetch_timeout_s=0.2)
    began = time.monotonic()
    assert await refusal(served, issuer.token()) == "unavailable"
    assert time.monotonic() - began < 5


async def test_metadata_of_somebody_else_and_keys_at_a_bad_place_are_not_used(guard, issuer, refusal):
    place = "/.well-known/oauth-authorization-server"
    for document in (
        {"issuer": "https://evil.example", "jwks_uri": f"{issuer.origin}/jwks"},
        {"issuer": issuer.name, "jwks_uri": "http://198.51.100.1/jwks"},
        {"issuer": issuer.name, "jwks_uri": "file:///etc/passwd"},
        {"issuer": issuer.name},
        {"issuer": issuer.name, "jwks_uri": 5},
    ):
        issuer.answers[place] = (200, json.dumps(document).encode(), {})
        assert await refusal(await guard(), issuer.token()) == "unavailable"
    assert issuer.asked["/jwks"] == 0
