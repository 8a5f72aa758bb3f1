"""Opaque tokens: their issuer is asked, its yes is kept for a while, and whatever is no clear yes is a no."""

import asyncio
import base64
import json
import time
from urllib.parse import parse_qs

import pytest
from doors import DOORS, INSIDE
from issuer import RESOURCE

from erlmcp.config.auth_settings import AuthSettings
from erlmcp.config.errors import ErlmcpError
from erlmcp.edge.auth import introspection
from erlmcp.edge.auth.gate import check
from erlmcp.telemetry.logs import JsonLines

pytestmark = pytest.mark.anyio

SECRET = "swordfish-of-the-server"
OPAQUE = "opaque-token-of-alice"
CLIENT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "r", "version": "0"}}


def in_s(seconds):
    """A time, as tokens have it."""
    return time.time() + seconds


@pytest.fixture
def secret_file(tmp_path):
    file = tmp_path / "client-secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def entry(issuer, secret_file):
    """The issuer as the configuration names it."""
    return {
        "issuer": issuer.name,
        "introspection_url": f"{issuer.origin}/introspect",
        "client_id": "notes",
        "client_secret_file": str(secret_file),
    }


@pytest.fixture
def says(issuer):
    """Lets the issuer say something about every token; a value of None takes a member away."""

    def say(**changes):
        usual = {
            "active": True,
            "aud": RESOURCE,
            "sub": "alice",
            "scope": "notes:read",
            "exp": in_s(600),
        }
        answer = {name: value for name, value in (usual | changes).items() if value is not None}
        issuer.answers["/introspect"] = (200, json.dumps(answer).encode(), {})

    say()
    return say


@pytest.fixture
def start(guard, entry, says):
    async def guarded(**auth):
        return await guard(trusted=[entry], **auth)

    return guarded


@pytest.mark.parametrize("door", DOORS)
async def test_a_token_that_its_issuer_calls_active_lets_in_on_every_way(start, issuer, knock, door):
    served = await start()
    for _ in range(3):
        status, fields = await knock(door, served, f"Bearer {OPAQUE}")
        assert (status, "error" in fields) == (INSIDE[door], False)
    assert issuer.asked["/introspect"] == 1 if door != "tcp" else issuer.asked["/introspect"] >= 1


async def test_the_issuer_is_asked_with_our_credentials_and_for_this_token(start, issuer, knock):
    await knock("post", await start(), f"Bearer {OPAQUE}")
    ((fields, form),) = issuer.forms
    scheme, _, value = fields["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(value).decode()) == ("Basic", f"notes:{SECRET}")
    assert parse_qs(form) == {"token": [OPAQUE], "token_type_hint": ["access_token"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"active": None},
        {"active": "true"},
        {"active": 1},
        {"aud": None},
        {"aud": "https://other.example/mcp"},
        {"aud": ["https://other.example/mcp"]},
        {"aud": {"https://mcp.example.com/mcp": True}},
        {"iss": "https://other.example"},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"exp": True},
        {"nbf": 10**11},
        {"nbf": "soon"},
        {"token_type": "DPoP"},
        {"sub": None},
    ],
    ids=str,
)
async def test_what_is_no_clear_yes_is_a_no(start, says, refusal, changes):
    served = await start()
    says(**changes)
    assert await refusal(served, OPAQUE) in ("the token is not active", "the token is for somebody else")
    says()
    assert await refusal(served, OPAQUE) == "", "a no is not kept"


@pytest.mark.parametrize(
    "changes",
    [{"exp": None}, {"aud": ["x", RESOURCE]}, {"token_type": "Bearer"}, {"sub": None, "client_id": "job"}],
)
async def test_what_an_issuer_may_leave_out_or_say_otherwise(start, says, refusal, changes):
    says(**changes)
    assert await refusal(await start(), OPAQUE) == ""


@pytest.mark.parametrize(
    "answer",
    [(500, b"", {}), (401, b"{}", {}), (200, b"no json", {}), (200, b"[true]", {}), (302, b"", {})],
    ids=str,
)
async def test_while_the_issuer_does_not_answer_nobody_is_let_in_nor_told_that_the_token_is_bad(
    start, says, issuer, refusal, answer
):
    served = await start()
    issuer.answers["/introspect"] = answer
    assert await refusal(served, OPAQUE) == "unavailable"
    says()
    assert await refusal(served, OPAQUE) == ""


async def test_many_who_come_with_one_token_ask_once(start, issuer, knock, raw):
    served = await start()
    issuer.hold()
    asking = [asyncio.create_task(knock("post", served, f"Bearer {OPAQUE}")) for _ in range(10)]
    await raw.until(lambda: issuer.asked["/introspect"], "asked")
    issuer.release()
    assert {status for status, _ in await asyncio.gather(*asking)} == {200}
    assert issuer.asked["/introspect"] == 1


async def test_so_many_different_tokens_are_asked_about_and_one_more_is_told_to_come_again(
    start, issuer, knock, monkeypatch, raw
):
    monkeypatch.setattr(introspection, "MAX_ASKING", 2)
    served = await start()
    issuer.hold()
    asking = [asyncio.create_task(knock("post", served, f"Bearer {OPAQUE}{n}")) for n in range(2)]
    await raw.until(lambda: issuer.asked["/introspect"] == 2, "asked")
    assert (await knock("post", served, f"Bearer {OPAQUE}9"))[0] == 503
    issuer.release()
    assert {status for status, _ in await asyncio.gather(*asking)} == {200}


async def refused_at_last(refusal, served):
    """The first refusal, within a bound."""
    async with asyncio.timeout(10):
        while not (why := await refusal(served, OPAQUE)):  # noqa: ASYNC110 - what ends is the time of a yes
            await asyncio.sleep(0.02)
    return why


async def test_a_yes_is_kept_for_its_time_and_never_beyond_the_token(start, says, issuer, refusal):
    served = await start(verdict_max_age_s=0.2, clock_skew_s=0)
    assert await refusal(served, OPAQUE) == ""
    says(active=False)
    assert await refused_at_last(refusal, served)
    assert issuer.asked["/introspect"] >= 2
    served = await start(verdict_max_age_s=300, clock_skew_s=0)
    says(exp=in_s(3))
    assert await refusal(served, OPAQUE) == ""
    assert await refused_at_last(refusal, served)
    assert await refusal(served, OPAQUE) == "the token is not active"


async def test_without_introspection_opaque_tokens_are_not_known(guard, issuer, refusal):
    assert await refusal(await guard(), OPAQUE) == "the token is not known here, or no longer"


async def test_tokens_of_different_callers_are_different_owners(start, says, issuer, raw):
    served = await start()
    begun = await (await served.connect()).call(
        raw.handshake("initialize", **CLIENT), headers={"authorization": f"Bearer {OPAQUE}"}
    )
    headers = {"mcp-session-id": begun.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
    for token, subject, status in (("renewed", "alice", 200), ("of-bob", "bob", 404)):
        says(sub=subject)
        reply = await (await served.connect()).call(
            raw.handshake("ping"), headers={**headers, "authorization": f"Bearer {token}"}
        )
        assert reply.status == status


async def test_neither_the_token_nor_the_secret_is_ever_logged(start, issuer, knock, caplog):
    caplog.set_level("DEBUG")
    served = await start()
    for answer in ((500, b"", {}), (200, json.dumps({"active": False}).encode(), {})):
        issuer.answers["/introspect"] = answer
        await knock("post", served, f"Bearer {OPAQUE}")
    lines = "\n".join(JsonLines("g1").format(record) for record in caplog.records)
    assert "auth.introspection-failed" in lines
    assert OPAQUE not in lines
    assert SECRET not in lines
    assert base64.b64encode(f"notes:{SECRET}".encode()).decode() not in lines


@pytest.mark.parametrize("wrong", ["absent", "open", "empty", "two lines", "too long", "no text"])
def test_a_secret_that_cannot_be_used_ends_the_start_and_is_not_shown(entry, secret_file, wrong):
    if wrong == "absent":
        secret_file.unlink()
    elif wrong == "open":
        secret_file.chmod(0o644)
    else:
        texts = {"empty": b"\n", "two lines": b"a\nb", "too long": b"s" * 4_097, "no text": b"\xff\xfe"}
        secret_file.write_bytes(texts[wrong])
    with pytest.raises(ErlmcpError) as caught:
        check(AuthSettings(resource=RESOURCE, issuers=[entry]))
    assert caught.value.error_id == "auth.secret-file"
    assert SECRET not in f"{caught.value}{caught.value.hint}"


def test_a_secret_as_long_as_is_allowed_is_taken(entry, secret_file):
    secret_file.write_bytes(b"s" * 4_096)
    check(AuthSettings(resource=RESOURCE, issuers=[entry]))


@pytest.mark.parametrize("missing", ["client_id", "client_secret_file"])
def test_half_of_it_and_two_issuers_to_ask_are_refused(entry, missing):
    with pytest.raises(ValueError, match="client_id and client_secret_file"):
        AuthSettings(resource=RESOURCE, issuers=[{**entry, missing: ""}])
    with pytest.raises(ValueError, match="one issuer with introspection_url"):
        AuthSettings(resource=RESOURCE, issuers=[entry, {**entry, "issuer": "https://other.example"}])
