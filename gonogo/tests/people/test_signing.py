"""Signatures are OpenSSH's: what we write ssh-keygen accepts, what it writes we accept, and nothing else."""

from __future__ import annotations

import base64
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.journal.sshsig import SshSignature, armour_of, key_blob_from_line, key_blob_of
from gonogo.model.errors import GonogoError
from gonogo.people.signing import sign, verify

TEXT = b"gonogo sign-off, version 1\nrequirement: signoff.build-lead\n"
KINDS = {
    "ed25519": ("-t", "ed25519"),
    "ecdsa-256": ("-t", "ecdsa", "-b", "256"),
    "ecdsa-384": ("-t", "ecdsa", "-b", "384"),
    "ecdsa-521": ("-t", "ecdsa", "-b", "521"),
    "rsa-3072": ("-t", "rsa", "-b", "3072"),
    "rsa-2048-pem": ("-t", "rsa", "-b", "2048", "-m", "PEM"),
}


@pytest.fixture(scope="module", params=KINDS)
def key(request, make_key):
    return make_key(request.param, *KINDS[request.param])


def _public(key):
    return key.with_suffix(".pub").read_text().strip()


def _fault(signature, text, keys, **options):
    with pytest.raises(GonogoError) as refused:
        verify(signature, text, keys, **options)
    assert refused.value.error_id == "people.bad-signature"
    assert refused.value.exit_code == 1
    return refused.value.message


def test_ssh_keygen_accepts_what_we_sign(key, ssh_keygen, tmp_path):
    (tmp_path / "text.sig").write_text(sign(key, TEXT))
    (tmp_path / "signers").write_text(f'ada namespaces="gonogo" {_public(key)}\n')
    command = [ssh_keygen, "-Y", "verify", "-n", "gonogo", "-I", "ada"]
    command += ["-f", str(tmp_path / "signers"), "-s", str(tmp_path / "text.sig")]
    good = subprocess.run(command, input=TEXT, capture_output=True, timeout=30, check=False)
    assert good.returncode == 0, good.stderr
    other = subprocess.run(command, input=TEXT + b"x", capture_output=True, timeout=30, check=False)
    assert other.returncode != 0, "the control: another text is refused"


def test_we_accept_what_ssh_keygen_signs(key, ssh_keygen, tmp_path):
    text = tmp_path / "text"
    text.write_bytes(TEXT)
    command = [ssh_keygen, "-Y", "sign", "-n", "gonogo", "-f", str(key), str(text)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    signature = text.with_suffix(".sig").read_text()
    assert verify(signature, TEXT, [_public(key)]) == _public(key)
    assert "does not fit the text" in _fault(signature, TEXT + b"x", [_public(key)])


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_both_of_ssh_keygens_hashes_are_accepted(keys, ssh_keygen, tmp_path, hash_name):
    text = tmp_path / "text"
    text.write_bytes(TEXT)
    command = [ssh_keygen, "-Y", "sign", "-n", "gonogo", "-O", f"hashalg={hash_name}", "-f", str(keys["ada"])]
    subprocess.run([*command, str(text)], check=True, capture_output=True, timeout=30)
    verify(text.with_suffix(".sig").read_text(), TEXT, [_public(keys["ada"])])


def test_a_signature_by_another_persons_key_does_not_count(keys):
    signature = sign(keys["bob"], TEXT)
    verify(signature, TEXT, [_public(keys["bob"])])
    assert "none of this person's" in _fault(signature, TEXT, [_public(keys["ada"])])
    assert "none of this person's" in _fault(signature, TEXT, [])


def test_a_signature_for_another_namespace_does_not_count(keys):
    signature = sign(keys["ada"], TEXT, namespace="git")
    assert "another namespace" in _fault(signature, TEXT, [_public(keys["ada"])])


def test_one_of_several_keys_is_enough(keys):
    public = [_public(keys["bob"]), _public(keys["ada"])]
    assert verify(sign(keys["ada"], TEXT), TEXT, public) == public[1]


def test_a_key_line_may_carry_options_and_a_comment(keys):
    line = f'restrict,command="/bin/true" {_public(keys["ada"])} and a comment'
    assert verify(sign(keys["ada"], TEXT), TEXT, [line]) == line


def test_every_flipped_bit_of_a_signature_is_refused(keys):
    signature = sign(keys["ada"], TEXT)
    wire = base64.b64decode("".join(signature.splitlines()[1:-1]))
    for place in range(len(wire)):
        flipped = bytearray(wire)
        flipped[place] ^= 1 << (place % 8)
        armour = base64.b64encode(flipped).decode()
        forged = f"-----BEGIN SSH SIGNATURE-----\n{armour}\n-----END SSH SIGNATURE-----\n"
        _fault(forged, TEXT, [_public(keys["ada"])])


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: base64.b64encode(raw).decode()))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_the_parser_fail_in_another_way(text):
    for armour in (text, f"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n"):
        with pytest.raises(ValueError):  # noqa: PT011 - any reason will do, any other exception will not
            SshSignature.parse(armour).check(TEXT, namespace="gonogo")


def test_an_endless_armour_is_refused_unread():
    armour = f"-----BEGIN SSH SIGNATURE-----\n{'A' * 20_000}\n-----END SSH SIGNATURE-----\n"
    with pytest.raises(ValueError, match="not an SSH signature"):
        SshSignature.parse(armour)


def test_a_short_rsa_key_does_not_count():
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    line = "ssh-rsa " + base64.b64encode(key_blob_of(short.public_key())).decode()
    signature = armour_of(short, TEXT, namespace="gonogo")
    assert "too short" in _fault(signature, TEXT, [line])


def test_a_key_with_a_passphrase_says_how_to_sign_instead(make_key):
    path = make_key("locked", "-t", "ed25519", passphrase="correct horse")
    with pytest.raises(GonogoError) as refused:
        sign(path, TEXT)
    assert refused.value.error_id == "people.key-encrypted"
    assert "ssh-keygen -Y sign -n gonogo" in refused.value.hint


def test_a_pem_key_with_a_passphrase_says_so_too(tmp_path):
    path = tmp_path / "locked.pem"
    key = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"correct horse"))
    )
    with pytest.raises(GonogoError) as refused:
        sign(path, TEXT)
    assert refused.value.error_id == "people.key-encrypted"


def test_a_file_that_is_no_private_key_is_named(tmp_path, keys):
    dsa_key = dsa.generate_private_key(2048)
    weak = tmp_path / "dsa.pem"
    weak.write_bytes(dsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for path in (tmp_path / "nowhere", tmp_path, keys["ada"].with_suffix(".pub"), weak):
        with pytest.raises(GonogoError) as refused:
            sign(path, TEXT)
        assert refused.value.error_id == "people.key-unreadable"
        assert str(path) in refused.value.message


@pytest.mark.parametrize("line", ["", "ada", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa !!!! x"])
def test_a_line_that_is_no_public_key_is_refused(line):
    with pytest.raises(ValueError, match="not a public key"):
        key_blob_from_line(line)
