"""Whom a request comes from: what a trusted proxy says, and nothing that anybody else could write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from erlmcp.config.schema import HttpSettings
from erlmcp.edge.proxies import Proxies
from erlmcp.protocol.headers import Headers

PROXY, INNER, CLIENT = "10.0.0.1", "10.0.0.2", "192.0.2.7"


def proxies(field="x-forwarded-for", trusted=("10.0.0.0/8", "2001:db8:f::/48")):
    return Proxies(HttpSettings(trusted_proxies=trusted, forwarded_field=field))


def told(*lines, field="x-forwarded-for", **given):
    headers = Headers()
    for name, value in (("x-forwarded-for", line) if isinstance(line, str) else line for line in lines):
        headers.add(name.encode(), value.encode("latin-1"))
    return proxies(field, **given).client_of(PROXY, headers)


@pytest.mark.parametrize(
    ("line", "client"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}:50123", CLIENT),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"203.0.113.9, {CLIENT}", CLIENT),
        (f"{CLIENT}, {INNER}", CLIENT),
        (f"203.0.113.9,{CLIENT} , {INNER},10.9.9.9", CLIENT),
        (f"{CLIENT}, [2001:db8:f::2]:80", CLIENT),
        (INNER, INNER),
        ("", PROXY),
        ("unknown", PROXY),
        (f"{CLIENT}, unknown", PROXY),
        (f"{CLIENT}, nonsense, {INNER}", INNER),
        ("192.0.2.7.8", PROXY),
        ("192.0.2.7\x00", PROXY),
    ],
)
def test_the_client_is_the_last_that_is_no_trusted_proxy(line, client):
    assert told(line) == client


@pytest.mark.parametrize(
    ("line", "client"),
    [
        (f"for={CLIENT}", CLIENT),
        (f"For={CLIENT};proto=https;by=10.0.0.1", CLIENT),
        (f'proto=https;for="{CLIENT}:80"', CLIENT),
        ('for="[2001:db8::1]:4711"', "2001:db8::1"),
        (f"for=203.0.113.9, for={CLIENT}, for={INNER}", CLIENT),
        ("for=_hidden", PROXY),
        ("for=unknown", PROXY),
        ("by=192.0.2.9", PROXY),
        ("xfor=192.0.2.9", PROXY),
        ('for="192.0.2.9', PROXY),
    ],
)
def test_forwarded_is_read_as_its_standard_says(line, client):
    assert told(("forwarded", line), field="forwarded") == client


def test_the_field_that_is_not_named_is_ignored():
    assert told(("forwarded", f"for={CLIENT}")) == PROXY
    assert told(f"{CLIENT}", field="forwarded") == PROXY


def test_several_lines_are_one_list():
    assert told("203.0.113.9", CLIENT, INNER) == CLIENT


def test_only_addresses_of_the_networks_are_trusted():
    judge = proxies()
    assert [judge.trusts(each) for each in (PROXY, "::ffff:10.1.1.1", "2001:db8:f::9")] == [True] * 3
    assert not any(judge.trusts(each) for each in (CLIENT, "11.0.0.1", "2001:db8::9", "", "nonsense"))
    assert not proxies(trusted=()).trusts(PROXY)


def test_a_chain_that_has_no_end_is_not_followed_for_ever():
    assert told(", ".join([CLIENT] + [INNER] * 50_000)) == INNER


@given(st.text(st.characters(max_codepoint=255), max_size=200), st.booleans())
def test_whatever_stands_there_is_an_address_or_the_proxy(text, is_standard):
    name = "forwarded" if is_standard else "x-forwarded-for"
    client = told((name, text), field=name)
    assert client == PROXY or proxies(trusted=("0.0.0.0/0", "::/0")).trusts(client)


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "example.com", "10.0.0.0/33", "10/8"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValidationError, match="an address or a network"):
        HttpSettings(trusted_proxies=(text,))


def test_a_server_that_would_let_nobody_in_is_refused():
    with pytest.raises(ValidationError, match="only with trusted_proxies"):
        HttpSettings(proxy_protocol=True)
