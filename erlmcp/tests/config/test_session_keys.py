"""Session keys: where they come from and which are refused."""

from __future__ import annotations

import base64

import pytest

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.keys import MAX_KEYS, session_keys

A, B = bytes(range(32)), b"\xfb\xff" * 16


def test_without_a_source_a_new_key_is_made_each_time():
    assert len(session_keys({})[0]) == 32
    assert session_keys({}) != session_keys({})


def test_keys_are_read_as_hex_and_both_base64_alphabets_in_order():
    text = f"{A.hex()}, {base64.b64encode(B).decode()} {base64.urlsafe_b64encode(B).decode()}"
    assert session_keys({"ERLMCP_SESSION_KEYS": text}) == (A, B, B)


def test_keys_are_read_from_a_private_file_and_an_open_one_is_refused(tmp_path):
    file = tmp_path / "keys"
    file.write_text(A.hex() + "\n" + B.hex() + "\n")
    file.chmod(0o600)
    assert session_keys({"ERLMCP_SESSION_KEYS_FILE": str(file)}) == (A, B)
    file.chmod(0o640)
    with pytest.raises(ErlmcpError) as caught:
        session_keys({"ERLMCP_SESSION_KEYS_FILE": str(file)})
    assert caught.value.error_id == "config.session-keys-file"


@pytest.mark.parametrize(
    "text", [A.hex()[:-2], A.hex() + "00", "not-a-key", " ".join([A.hex()] * (MAX_KEYS + 1))]
)
def test_a_wrong_key_is_refused_without_showing_it(text):
    with pytest.raises(ErlmcpError) as caught:
        session_keys({"ERLMCP_SESSION_KEYS": text})
    assert caught.value.error_id == "config.bad-session-key"
    assert text[:8] not in caught.value.message + caught.value.hint


def test_the_largest_number_of_keys_is_taken():
    assert len(session_keys({"ERLMCP_SESSION_KEYS": " ".join([A.hex()] * MAX_KEYS)})) == MAX_KEYS


def test_a_file_without_a_key_is_refused_instead_of_making_one(tmp_path):
    file = tmp_path / "keys"
    file.write_text("\n")
    file.chmod(0o600)
    with pytest.raises(ErlmcpError) as caught:
        session_keys({"ERLMCP_SESSION_KEYS_FILE": str(file)})
    assert caught.value.error_id == "config.session-keys-file"
