"""The file of static tokens: what it may hold, and that nothing of a token leaks out of a fault."""

import hashlib

import pytest

from erlmcp.config.errors import ErlmcpError
from erlmcp.edge.auth import static_tokens
from erlmcp.edge.auth.static_tokens import MAX_FILE_BYTES, MAX_TOKENS, new_token, read

DIGEST = "0" * 63


@pytest.fixture
def file(tmp_path):
    """A function that writes the file."""

    def write(text: str, mode: int = 0o600):
        path = tmp_path / "tokens"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def test_a_token_is_found_by_its_digest_with_name_and_scopes(file):
    token, line = new_token("alice", ("notes:read", "notes:write"))
    other, _ = new_token("bob", ())
    tokens = read(file(f"# who may come\n\n  {line}  \n"))
    found = tokens.find(token)
    assert (found.name, found.scopes) == ("alice", {"notes:read", "notes:write"})
    assert tokens.find(other) is None
    assert hashlib.sha256(token.encode()).hexdigest() in line
    assert token not in line


def test_tokens_are_long_and_never_the_same():
    made = {new_token("a", ())[0] for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) == len("erlmcp_") + 43 for each in made)


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        "alice erlmcp_canary-canary-canary",
        "alice sha256:erlmcp_canary-canary-canary",
        f"alice sha1:{DIGEST}1",
        f"alice sha256:{DIGEST}",
        f"alice sha256:{DIGEST}12",
        f"al/ice sha256:{DIGEST}1",
        f"{'a' * 65} sha256:{DIGEST}1",
        f'alice sha256:{DIGEST}1 "quoted"',
        f"alice sha256:{DIGEST}1\nalice sha256:{DIGEST}2",
        f"alice sha256:{DIGEST}1\nbob sha256:{DIGEST}1",
    ],
)
def test_a_line_that_is_wrong_is_named_by_its_number_and_not_shown(file, line):
    with pytest.raises(ErlmcpError) as caught:
        read(file("# first\n" + line))
    assert caught.value.error_id == "auth.bad-token-line"
    assert f"line {2 + line.count(chr(10))} of" in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(file, mode):
    with pytest.raises(ErlmcpError) as caught:
        read(file("", mode))
    assert caught.value.error_id == "auth.tokens-file"
    assert f"{mode:04o}" in caught.value.message


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o644])
def test_a_file_that_others_can_only_read_is_taken(file, mode):
    assert read(file("", mode)).find("anything") is None


def test_a_file_that_is_not_there_or_no_text_is_refused(file, tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ErlmcpError) as caught:
            read(path)
        assert caught.value.error_id == "auth.tokens-file"
    path = file("")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ErlmcpError):
        read(path)


def test_as_many_tokens_as_are_allowed_and_not_one_more(file):
    lines = [f"u{number} sha256:{number:064x}" for number in range(MAX_TOKENS + 1)]
    assert read(file("\n".join(lines[:MAX_TOKENS])))
    with pytest.raises(ErlmcpError) as caught:
        read(file("\n".join(lines)))
    assert caught.value.error_id == "auth.tokens-file"


def test_a_file_as_large_as_is_allowed_and_not_one_byte_more(file):
    assert read(file("#" * MAX_FILE_BYTES))
    with pytest.raises(ErlmcpError):
        read(file("#" * (MAX_FILE_BYTES + 1)))


@pytest.mark.parametrize(
    ("name", "scopes"), [("", ()), ("a b", ()), ("a", ("b c",)), ("a", ('"',)), ("a", ("",))]
)
def test_what_could_not_be_read_back_is_not_made(name, scopes):
    with pytest.raises(ErlmcpError) as caught:
        new_token(name, scopes)
    assert caught.value.error_id == "auth.bad-token-line"


def test_every_line_is_compared_whatever_was_found(file, monkeypatch):
    token, line = new_token("first", ())
    tokens = read(file("\n".join([line, *(new_token(f"u{number}", ())[1] for number in range(9))])))
    compared = []
    original = static_tokens.hmac.compare_digest
    monkeypatch.setattr(
        static_tokens.hmac, "compare_digest", lambda a, b: compared.append(a) or original(a, b)
    )
    assert tokens.find(token).name == "first"
    assert len(compared) == 10
