"""The files of [tls]: what is served with, and what is refused with words that help."""

from __future__ import annotations

import ssl
import subprocess
from datetime import timedelta

import pytest
from authority import Authority, new_key, now
from authority import key_pem as pem_of

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.load import load
from erlmcp.config.schema import TlsSettings
from erlmcp.edge.certificates import MAX_FILE_BYTES, read
from erlmcp.edge.tls import Identity, server_context

AUTHORITY = Authority()


@pytest.fixture
def issued(tmp_path):
    """A pair on disk that can be served with, and its settings."""
    pair = AUTHORITY.issue()
    certificate, key = pair.write(tmp_path)
    pair.settings = TlsSettings(certificate=str(certificate), key=str(key))
    return pair


def refusal(settings, at=None):
    with pytest.raises(ErlmcpError) as caught:
        read(settings, at or now())
    return caught.value


def shakes_hands(context, client):
    """Whether the two come to terms, over memory only; the version that was agreed on."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(up, down, server_side=True)
    client_end = client.wrap_bio(down, up, server_hostname="localhost")
    for _ in range(4):
        for end in (client_end, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client_end.version()


def test_without_a_certificate_there_is_no_tls():
    assert read(TlsSettings(), now()) is None


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_a_pair_that_fits_is_served_with(tmp_path, kind):
    certificate, key = AUTHORITY.issue(key=new_key(kind)).write(tmp_path)
    found = read(TlsSettings(certificate=str(certificate), key=str(key)), now())
    context = server_context(found.identity, minimum="1.2")
    assert shakes_hands(context, AUTHORITY.client_context()) == "TLSv1.3"
    assert found.subject == "CN=localhost"


def test_the_chain_is_sent_whole_and_the_first_to_expire_counts(tmp_path):
    pair = AUTHORITY.intermediate().issue(valid_for=timedelta(days=3650))
    certificate, key = pair.write(tmp_path)
    found = read(TlsSettings(certificate=str(certificate), key=str(key)), now())
    assert shakes_hands(server_context(found.identity, minimum="1.2"), AUTHORITY.client_context())
    assert found.expires_at == pair.chain[1].not_valid_after_utc


def test_a_chain_without_its_intermediate_is_not_believed(tmp_path):
    pair = AUTHORITY.intermediate().issue()
    del pair.chain[1]
    certificate, key = pair.write(tmp_path)
    found = read(TlsSettings(certificate=str(certificate), key=str(key)), now())
    with pytest.raises(ssl.SSLCertVerificationError):
        shakes_hands(server_context(found.identity, minimum="1.2"), AUTHORITY.client_context())


def test_a_key_that_others_may_read_is_refused(issued, tmp_path):
    for mode in (0o640, 0o604, 0o620, 0o602):
        (tmp_path / "server.key").chmod(mode)
        fault = refusal(issued.settings)
        assert fault.error_id == "tls.key-open"
        assert f"{mode:04o}" in fault.message
        assert fault.hint.startswith("chmod 600")
    for mode in (0o600, 0o400):
        (tmp_path / "server.key").chmod(mode)
        assert read(issued.settings, now())


def test_the_key_of_another_pair_is_refused(issued, tmp_path):
    (tmp_path / "server.key").write_bytes(AUTHORITY.issue().key_pem)
    fault = refusal(issued.settings)
    assert fault.error_id == "tls.key-mismatch"
    assert "server.key" in fault.message
    assert "server.pem" in fault.message


def test_a_certificate_holds_from_its_first_second_until_before_its_last(issued):
    begins, ends = issued.chain[0].not_valid_before_utc, issued.chain[0].not_valid_after_utc
    moment = timedelta(microseconds=1)
    assert read(issued.settings, begins)
    assert read(issued.settings, ends - moment)
    for outside in (begins - moment, ends):
        fault = refusal(issued.settings, outside)
        assert fault.error_id == "tls.not-valid-now"
        assert ends.isoformat() in fault.message


def test_an_expired_intermediate_is_refused_as_well(tmp_path):
    pair = AUTHORITY.intermediate().issue(valid_for=timedelta(days=3650))
    certificate, key = pair.write(tmp_path)
    settings = TlsSettings(certificate=str(certificate), key=str(key))
    fault = refusal(settings, pair.chain[1].not_valid_after_utc)
    assert (fault.error_id, "test intermediate" in fault.message) == ("tls.not-valid-now", True)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("server.pem", b"no certificate"),
        ("server.pem", b""),
        ("server.key", b"no key"),
        ("server.key", pem_of(new_key(), b"secret")),
        ("server.key", AUTHORITY.pem),
        ("ca.pem", b"-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n"),
    ],
    ids=["words", "empty", "key of words", "encrypted key", "certificate as key", "certificate of nothing"],
)
def test_a_file_that_holds_something_else_is_refused(issued, tmp_path, file, text):
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.pem)
    settings = issued.settings.model_copy(update={"client_ca": str(tmp_path / "ca.pem")})
    assert read(settings, now())
    (tmp_path / file).write_bytes(text)
    fault = refusal(settings)
    assert (fault.error_id, file in fault.message) == ("tls.not-pem", True)


def test_a_file_is_read_up_to_its_limit(issued, tmp_path):
    certificate = tmp_path / "server.pem"
    data = issued.chain_pem
    certificate.write_bytes(data + b"\n" * (MAX_FILE_BYTES - len(data)))
    assert read(issued.settings, now())
    certificate.write_bytes(data + b"\n" * (MAX_FILE_BYTES - len(data) + 1))
    assert refusal(issued.settings).error_id == "tls.unreadable"


def test_a_file_that_cannot_be_read_is_named(issued, tmp_path):
    (tmp_path / "server.key").unlink()
    fault = refusal(issued.settings)
    assert (fault.error_id, "server.key" in fault.message) == ("tls.unreadable", True)
    (tmp_path / "server.key").mkdir()
    assert refusal(issued.settings).error_id == "tls.unreadable"


@pytest.mark.parametrize(
    ("given", "missing"), [("certificate", "key"), ("key", "certificate"), ("client_ca", "certificate")]
)
def test_half_of_tls_is_refused(given, missing):
    fault = refusal(TlsSettings(**{given: "file.pem"}))
    assert (fault.error_id, f"tls.{missing}" in fault.message) == ("tls.incomplete", True)


def test_a_weak_key_is_refused(program, tmp_path):
    """Made by the openssl program: the library of the tests makes none that short."""
    openssl = program("openssl", "openssl")
    files = ["-keyout", "weak.key", "-out", "weak.pem"]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=weak", *files],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (tmp_path / "weak.key").chmod(0o600)
    settings = TlsSettings(certificate=str(tmp_path / "weak.pem"), key=str(tmp_path / "weak.key"))
    assert refusal(settings).error_id == "tls.refused"


def test_the_text_of_a_key_in_the_configuration_is_refused_and_not_shown():
    text = AUTHORITY.issue().key_pem.decode()
    with pytest.raises(ErlmcpError) as caught:
        load(flags={"tls.key": text})
    assert caught.value.error_id == "config.bad-value"
    assert text.splitlines()[1] not in str(caught.value)


def test_an_identity_does_not_show_its_key():
    identity = Identity("chain", "the key", "authorities")
    assert "the key" not in repr(identity) + str(identity)


@pytest.mark.parametrize(("minimum", "spoken"), [("1.2", ["TLSv1.2", "TLSv1.3"]), ("1.3", ["TLSv1.3"])])
def test_versions_below_the_minimum_are_not_spoken(issued, minimum, spoken):
    context = server_context(read(issued.settings, now()).identity, minimum=minimum)
    agreed = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = AUTHORITY.client_context()
        client.minimum_version = client.maximum_version = version
        try:
            agreed.append(shakes_hands(context, client))
        except ssl.SSLError:
            continue
    assert agreed == spoken


def test_only_ciphers_with_forward_secrecy_and_authenticated_encryption_are_offered(issued):
    context = server_context(read(issued.settings, now()).identity, minimum="1.2")
    for cipher in context.get_ciphers():
        assert cipher["aead"], cipher
        assert cipher["protocol"] == "TLSv1.3" or cipher["name"].startswith("ECDHE-"), cipher
    weak = AUTHORITY.client_context()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("ECDHE+AES+SHA256:AESGCM+kRSA")
    with pytest.raises(ssl.SSLError):
        shakes_hands(context, weak)
