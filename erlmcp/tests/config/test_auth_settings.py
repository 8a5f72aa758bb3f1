"""What ``[auth]`` may say: who is trusted, and for whom tokens must be made."""

import asyncio
import json

import pytest

from erlmcp.cli.serve import check as check_all
from erlmcp.config.errors import ErlmcpError
from erlmcp.config.load import load
from erlmcp.edge.auth.gate import Gate, check

ISSUER = "https://login.example.com"
RESOURCE = "https://mcp.example.com/mcp"


def read(tmp_path, text, **environ):
    file = tmp_path / "erlmcp.toml"
    file.write_text(text)
    return load(file, environ=environ)


def entry(**values):
    lines = "\n".join(
        f"{name} = {json.dumps(value)}" for name, value in ({"issuer": ISSUER} | values).items()
    )
    return f'[auth]\nresource = "{RESOURCE}"\n[[auth.issuers]]\n{lines}\n'


def test_it_is_off_by_default(tmp_path):
    assert not load().settings.auth.enabled


def test_issuers_are_tables_in_the_file(tmp_path):
    effective = read(tmp_path, entry(audiences=["client-7"]))
    (issuer,) = effective.settings.auth.issuers
    assert (issuer.issuer, issuer.audiences) == (ISSUER, ("client-7",))
    assert effective.settings.auth.enabled
    assert effective.sources["auth.issuers"] == "file"


def test_and_json_in_the_environment(tmp_path):
    issuers = json.dumps([{"issuer": ISSUER}])
    effective = read(tmp_path, "", ERLMCP_AUTH__ISSUERS=issuers, ERLMCP_AUTH__RESOURCE=RESOURCE)
    assert effective.settings.auth.issuers[0].issuer == ISSUER


def test_scopes_in_the_environment_are_words(tmp_path):
    effective = read(tmp_path, "", ERLMCP_AUTH__REQUIRED_SCOPES="a, b")
    assert effective.settings.auth.required_scopes == ("a", "b")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (entry(issuer="http://login.example.com"), "auth.issuers"),
        (entry(issuer="https://login.example.com?x=1"), "auth.issuers"),
        (entry(issuer="https://user@login.example.com"), "auth.issuers"),
        (entry(issuer="login.example.com"), "auth.issuers"),
        (entry(jwks_url="http://login.example.com/keys"), "auth.issuers"),
        (entry(jwks_url="file:///etc/passwd"), "auth.issuers"),
        (entry(jwks_url="https://login.example.com/ke ys"), "auth.issuers"),
        (entry(algorithms=["HS256"]), "auth.issuers"),
        (entry(algorithms=["none"]), "auth.issuers"),
        (entry(algorithms=[]), "auth.issuers"),
        (entry(verify=False), "auth.issuers"),
        (entry() + f'[[auth.issuers]]\nissuer = "{ISSUER}"\n', "auth.issuers"),
        ('[auth]\nresource = "https://mcp.example.com/mcp#x"\n', "auth.resource"),
        ('[auth]\nresource = "http://mcp.example.com/mcp"\n', "auth.resource"),
        ("[auth]\nclock_skew_s = 301\n", "auth.clock_skew_s"),
    ],
)
def test_what_would_weaken_it_is_refused(tmp_path, text, key):
    with pytest.raises(ErlmcpError) as caught:
        read(tmp_path, text)
    assert caught.value.error_id == "config.bad-value"
    assert caught.value.message.startswith(f"{key} from file is wrong")


def test_issuers_without_the_audience_that_tokens_must_have_do_not_start(tmp_path):
    settings = read(tmp_path, f'[[auth.issuers]]\nissuer = "{ISSUER}"\n').settings.auth
    with pytest.raises(ErlmcpError) as caught:
        check(settings)
    assert caught.value.error_id == "auth.incomplete"
    with pytest.raises(ErlmcpError):
        asyncio.run(make_gate(settings))


@pytest.mark.parametrize(
    "text",
    ['required_scopes = ["a"]\n', '[[auth.scopes]]\ntools = ["delete"]\nscopes = ["a"]\n'],
)
def test_scopes_that_nobody_could_have_do_not_start(tmp_path, text):
    settings = read(tmp_path, "[auth]\n" + text).settings
    with pytest.raises(ErlmcpError, match="nobody is asked for a token") as caught:
        check_all(settings, {})
    assert caught.value.error_id == "auth.incomplete"


def test_anybody_and_only_somebody_cannot_both_be_meant(tmp_path):
    with pytest.raises(ErlmcpError, match="anonymous only where") as caught:
        read(tmp_path, '[auth]\nanonymous = true\ntokens_file = "tokens"\n')
    assert caught.value.error_id == "config.bad-value"


async def make_gate(settings):
    Gate(settings)


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost", "[::1]:80"])
def test_this_machine_may_be_asked_without_tls(tmp_path, host):
    assert read(tmp_path, entry(issuer=f"http://{host}", jwks_url=f"http://{host}/keys?of=it"))
