"""JWTs: what makes one good, and every single thing that makes it bad."""

import base64
import json
import logging
import time

import jwt
import pytest
from doors import DOORS, INSIDE
from issuer import RESOURCE, SigningKey

from erlmcp.telemetry.logs import JsonLines

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("door", DOORS)
async def test_a_good_token_lets_in_on_every_way_from_the_first_request_on(guard, issuer, knock, door):
    served = await guard()
    for _ in range(3):
        status, fields = await knock(door, served, f"Bearer {issuer.token()}")
        assert (status, "error" in fields) == (INSIDE[door], False)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
async def test_each_algorithm_that_is_taken_by_default(guard, issuer, refusal, algorithm):
    issuer.add_key("k2", algorithm)
    assert await refusal(await guard(), issuer.token("k2")) == ""


async def test_the_keys_may_be_named_instead_of_found(guard, issuer, refusal):
    served = await guard(trusted=[{"issuer": issuer.name, "jwks_url": f"{issuer.origin}/jwks"}])
    assert await refusal(served, issuer.token()) == ""
    assert set(issuer.asked) == {"/jwks"}


async def test_openid_discovery_and_an_issuer_with_a_path(guard, issuer, other, refusal):
    served = await guard(trusted=[{"issuer": issuer.name}, {"issuer": other.name}])
    assert await refusal(served, other.token()) == ""
    assert await refusal(served, issuer.token()) == ""
    document = json.dumps({"issuer": issuer.name, "jwks_uri": f"{issuer.origin}/jwks"}).encode()
    issuer.answers["/.well-known/oauth-authorization-server"] = (404, b"", {})
    issuer.answers["/.well-known/openid-configuration"] = (200, document, {})
    assert await refusal(await guard(), issuer.token()) == ""


async def test_a_token_may_have_several_audiences_of_which_one_is_ours(guard, issuer, refusal):
    served = await guard()
    assert await refusal(served, issuer.token(aud=["https://other.example", RESOURCE])) == ""


async def test_an_audience_of_an_issuer_without_resource_indicators_is_taken_where_it_is_configured(
    guard, issuer, other, refusal
):
    trusted = [{"issuer": issuer.name, "audiences": ["client-7"]}, {"issuer": other.name}]
    served = await guard(trusted=trusted)
    assert await refusal(served, issuer.token(aud="client-7")) == ""
    assert await refusal(served, issuer.token()) == ""
    assert await refusal(served, other.token(aud="client-7")) == "the token is for somebody else"


NOW = 1_000_000_000


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "https://other.example/mcp"}, "the token is for somebody else"),
        ({"aud": RESOURCE + "/"}, "the token is for somebody else"),
        ({"aud": []}, "the token lacks exp, iss, aud or sub"),
        ({"aud": None}, "the token lacks exp, iss, aud or sub"),
        ({"exp": None}, "the token lacks exp, iss, aud or sub"),
        ({"sub": None}, "the token lacks exp, iss, aud or sub"),
        ({"iss": None}, "the token is not valid"),
        ({"iss": "https://evil.example"}, "tokens of this issuer are not taken"),
        ({"iss": ["x"]}, "the token is not valid"),
        ({"exp": NOW}, "the token has expired"),
        ({"exp": "soon"}, "the token is not valid"),
        ({"exp": float("inf")}, "the token is not valid"),
        ({"exp": float("nan")}, "the token is not valid"),
        ({"exp": True}, "the token has expired"),
        ({"exp": 10**400}, "the token is not valid"),
        ({"nbf": 4 * NOW}, "the token is not valid yet"),
        ({"iat": 4 * NOW}, "the token is not valid yet"),
        ({"sub": 7}, "the token is not valid"),
    ],
)
async def test_each_claim_that_is_wrong_is_seen(guard, issuer, refusal, changes, why):
    served = await guard()
    assert await refusal(served, issuer.token()) == ""
    assert await refusal(served, issuer.token(**changes)) == why


@pytest.mark.parametrize(
    ("claim", "off_by", "good"),
    [("exp", -25, True), ("exp", -35, False), ("nbf", 25, True), ("nbf", 35, False)],
)
async def test_clocks_may_differ_by_as_much_as_is_said(guard, issuer, refusal, claim, off_by, good):
    served = await guard(clock_skew_s=30)
    assert (await refusal(served, issuer.token(**{claim: int(time.time() + off_by)})) == "") is good


def forged(issuer, header, claims=None, signature=b""):
    """A token with whatever header, signed or not."""
    parts = [json.dumps(each).encode() for each in (header, claims or issuer.claims())] + [signature]
    return ".".join(base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in parts)


async def test_a_token_without_a_signature_is_refused(guard, issuer, refusal):
    served = await guard()
    for algorithm in ("none", "None", "NONE", "", None):
        header = {"alg": algorithm, "kid": "k1", "typ": "at+jwt"}
        assert await refusal(served, forged(issuer, header)) == "the token is not valid"
    assert await refusal(served, forged(issuer, {"alg": "ES256", "kid": "k1"})) == "the token is not valid"
    assert await refusal(served, forged(issuer, {"kid": "k1"})) == "the token is not valid"


async def test_a_published_key_is_no_secret_to_sign_with(guard, issuer, refusal):
    """The known confusion: HMAC with the public key as the secret, in every form in which it is public."""
    from cryptography.hazmat.primitives import hashes, hmac
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    served = await guard()
    public = issuer.keys["k1"].private.public_key()
    forms = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(issuer.keys["k1"].public).encode(),
    ]
    for secret in forms:
        unsigned = forged(issuer, {"alg": "HS256", "kid": "k1", "typ": "at+jwt"}).rpartition(".")[0]
        mac = hmac.HMAC(secret, hashes.SHA256())
        mac.update(unsigned.encode())
        signature = base64.urlsafe_b64encode(mac.finalize()).rstrip(b"=").decode()
        assert await refusal(served, f"{unsigned}.{signature}") == "the token is not valid"


async def test_a_published_secret_is_never_a_key(guard, issuer, refusal):
    issuer.published.append(
        {"kty": "oct", "kid": "s1", "alg": "HS256", "k": base64.urlsafe_b64encode(b"s" * 32).decode()}
    )
    token = jwt.encode(issuer.claims(), b"s" * 32, algorithm="HS256", headers={"kid": "s1"})
    assert await refusal(await guard(), token) == "the token is not valid"


async def test_a_signature_of_somebody_else_or_of_another_text_is_seen(guard, issuer, refusal):
    served = await guard()
    token = issuer.token()
    head, _, signature = token.split(".")
    other_body = issuer.token(sub="mallory").split(".")[1]
    assert await refusal(served, f"{head}.{other_body}.{signature}") == "the token is not valid"
    mallory = SigningKey("k1")
    stolen = jwt.encode(issuer.claims(), mallory.private, algorithm="ES256", headers={"kid": "k1"})
    assert await refusal(served, stolen) == "the token is not valid"


async def test_a_key_that_comes_with_the_token_is_not_used(guard, issuer, refusal):
    served = await guard()
    mallory = SigningKey("m1")
    for header in ({"jwk": mallory.public}, {"jku": f"{issuer.origin}/evil", "kid": "m1"}, {"x5u": "x"}):
        token = jwt.encode(issuer.claims(), mallory.private, algorithm="ES256", headers=header)
        assert await refusal(served, token) != ""
    assert "/evil" not in issuer.asked


async def test_the_algorithm_of_a_token_must_be_that_of_its_key(guard, issuer, refusal):
    rsa = issuer.add_key("r1", "RS256")
    served = await guard()
    token = jwt.encode(issuer.claims(), rsa.private, algorithm="PS256", headers={"kid": "r1"})
    assert await refusal(served, issuer.token("r1")) == ""
    assert await refusal(served, token) != ""
    del issuer.published[-1]["alg"]  # the issuer does not say: then any that fits the kind of key
    assert await refusal(await guard(), token) == ""


async def test_only_algorithms_of_the_list_are_taken(guard, issuer, refusal):
    served = await guard(trusted=[{"issuer": issuer.name, "algorithms": ["RS256"]}])
    assert await refusal(served, issuer.token()) == "the token is not valid"


async def test_what_is_critical_and_not_known_is_refused(guard, issuer, refusal):
    served = await guard()
    assert await refusal(served, issuer.token(headers={"crit": ["exp"]})) == "the token is not valid"
    assert await refusal(served, issuer.token(headers={"crit": None})) == ""


async def test_other_tokens_of_the_issuer_are_refused_where_it_names_its_access_tokens(
    guard, issuer, refusal
):
    served = await guard(trusted=[{"issuer": issuer.name, "typ_at_jwt": True}])
    for name in ("at+jwt", "AT+JWT", "application/at+jwt"):
        assert await refusal(served, issuer.token(headers={"typ": name})) == ""
    for name in ("JWT", "id+jwt", None):
        assert await refusal(served, issuer.token(headers={"typ": name})) == "the token is no access token"


@pytest.mark.parametrize(
    ("member", "value"),
    [("use", "enc"), ("key_ops", ["sign"]), ("key_ops", 5), ("crv", "P-999"), ("x", "!"), ("kty", [])],
)
async def test_a_published_key_that_is_for_something_else_or_broken_is_not_used(
    guard, issuer, refusal, member, value
):
    issuer.add_key("k2")
    issuer.published[1][member] = value
    issuer.published += ["no key", None, {}]
    served = await guard()
    assert await refusal(served, issuer.token()) == ""
    assert await refusal(served, issuer.token("k2")) != ""


async def test_a_short_rsa_key_is_not_used(guard, issuer, refusal):
    issuer.add_key("short", "RS256", bits=1024)
    assert await refusal(await guard(), issuer.token("short")) != ""


async def test_a_token_without_kid_is_taken_while_only_one_key_can_have_signed_it(guard, issuer, refusal):
    served = await guard()
    token = issuer.token(headers={"kid": None})
    assert await refusal(served, token) == ""
    issuer.add_key("k2")
    assert await refusal(await guard(), token) != ""


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "e30.e30.e30",
        "e30.e30.",
        ".e30.",
        "AAAA.AAAA.AAAA",
        "W10.W10.W10",
        "eyJhbGciOiJFUzI1NiJ9.bnVsbA.e30",
        base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.e30",
        "e30." + base64.urlsafe_b64encode(b'{"a":' * 999).decode() + ".e30",
        "opaque",
        "a.b.c.d.e",
    ],
)
async def test_whatever_else_a_client_sends_is_refused_in_the_same_way(guard, refusal, token):
    assert await refusal(await guard(), token) in (
        "the token is not valid",
        "the token is not known here, or no longer",
    )


async def test_static_tokens_and_issuers_may_stand_beside_each_other(guard, issuer, refusal, tokens):
    alice = tokens.add("alice")
    served = await guard(tokens_file=str(tokens.path))
    assert await refusal(served, alice) == ""
    assert await refusal(served, issuer.token()) == ""
    assert await refusal(served, alice + "x") == "the token is not known here, or no longer"


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"scope": "a b"}, True),
        ({"scope": None, "scp": ["b", "a"]}, True),
        ({"scope": None, "scp": "a b"}, True),
        ({"scope": "a"}, False),
        ({"scope": "ab"}, False),
        ({"scope": None}, False),
        ({"scope": 5}, False),
        ({"scope": ["a", "b"]}, True),
    ],
)
async def test_scopes_that_all_need_are_read_from_the_token(guard, issuer, knock, claims, good):
    served = await guard(required_scopes=("a", "b"))
    assert (await knock("post", served, f"Bearer {issuer.token(**claims)}"))[0] == (200 if good else 403)


async def test_nothing_of_a_jwt_is_ever_logged(guard, issuer, knock, caplog):
    caplog.set_level(logging.DEBUG)
    served = await guard()
    sent = [issuer.token(), issuer.token(aud="x"), issuer.token(headers={"kid": "x"}), "canary.canary.canary"]
    for token in sent:
        for door in DOORS:
            await knock(door, served, f"Bearer {token}")
    form = JsonLines("g1")
    written = "\n".join(form.format(record) + record.getMessage() for record in caplog.records)
    assert "canary" not in written
    for token in sent[:3]:
        assert all(part not in written for part in token.split("."))
