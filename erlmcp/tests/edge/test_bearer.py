"""Where a token stands: whatever bytes come, the answer is a token that may be one, or why there is none."""

import re
from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st

from erlmcp.edge.auth.bearer import (
    IN_QUERY,
    MALFORMED,
    MAX_TOKEN_CHARS,
    NO_TOKEN,
    REPEATED,
    TOO_LONG,
    token_in,
    token_of,
)
from erlmcp.protocol.grants import Denial
from erlmcp.protocol.headers import Headers

B64_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""RFC 6750, 2.1."""

TOKENS = st.from_regex(B64_TOKEN, fullmatch=True).filter(lambda text: len(text) <= 200)
SCHEMES = st.sampled_from(["Bearer", "bearer", "BEARER", "bEaRer"])


def headers(*credentials):
    made = Headers()
    for value in credentials:
        made.add(b"authorization", value)
    return made


@given(st.binary(max_size=300) | st.builds(lambda text: b"Bearer " + text, st.binary(max_size=300)))
@example(b"Bearer \n")
@example(b"Bearer a\n")
@example(b"Bearer\ta")
@example(b"Bearer  a")
@example(b"Bearer =")
@example(b"Bearer a==b")
@example("Bearer \u0661".encode())
def test_no_bytes_whatever_make_anything_but_a_token_or_a_denial(value):
    found = token_of(value)
    if isinstance(found, Denial):
        assert found.status in (400, 401)
        assert found.error in ("", "invalid_request")
    else:
        assert B64_TOKEN.fullmatch(found)
        assert value.split(b" ", 1)[1].strip(b" ") == found.encode()


@given(SCHEMES, st.integers(1, 5), TOKENS)
def test_every_token_of_the_grammar_is_taken_as_it_is(scheme, blanks, token):
    assert token_of(f"{scheme}{' ' * blanks}{token}".encode()) == token


@given(st.text(st.characters(categories=("Lu", "Ll", "Nd"), max_codepoint=127), max_size=12), TOKENS)
def test_another_scheme_is_no_token(scheme, token):
    if scheme.lower() != "bearer":
        assert token_of(f"{scheme} {token}".encode()) is NO_TOKEN


def test_a_token_may_be_as_long_as_is_said_and_no_longer():
    assert token_of(b"Bearer " + b"a" * MAX_TOKEN_CHARS) == "a" * MAX_TOKEN_CHARS
    assert token_of(b"Bearer " + b"a" * (MAX_TOKEN_CHARS + 1)) is TOO_LONG


@given(TOKENS, st.lists(TOKENS, min_size=1, max_size=3))
def test_more_than_one_field_is_refused_whatever_stands_in_them(token, others):
    fields = [f"Bearer {each}".encode() for each in (token, *others)]
    assert token_in(headers(*fields), b"/mcp") is REPEATED


@given(
    TOKENS,
    st.lists(st.sampled_from("access_token")),
    st.dictionaries(st.text("ab", min_size=1), st.text("ab&=;"), max_size=3),
)
def test_a_token_in_the_query_is_refused_however_it_is_written(token, escaped, others):
    name = "".join(f"%{ord(each):02x}" if each in escaped else each for each in "access_token")
    pairs = [f"{key}={quote(value)}" for key, value in others.items()]
    for place in range(len(pairs) + 1):
        query = "&".join([*pairs[:place], f"{name}={quote(token)}", *pairs[place:]])
        assert token_in(headers(b"Bearer " + token.encode()), f"/mcp?{query}".encode()) is IN_QUERY


@given(st.binary(max_size=200))
def test_no_target_whatever_raises_anything(target):
    found = token_in(headers(b"Bearer abc"), target)
    assert found == "abc" or found is IN_QUERY


def test_nothing_and_nonsense_are_told_apart():
    assert token_in(headers(), b"/mcp") is NO_TOKEN
    assert token_in(headers(b"Bearer a b"), b"/mcp") is MALFORMED
