"""TLS as two programs see it that are not ours: openssl, and sslyze with its own old OpenSSL.

Each judgement is made on a server as well that is bad on purpose: otherwise a tool that can no longer offer
what is old would pass for a server that refuses it.
"""

from __future__ import annotations

import contextlib
import json
import re
import socketserver
import ssl
import subprocess
import threading
import warnings
from pathlib import Path

import pytest
from authority import Authority, new_key

AUTHORITY = Authority()
SSLYZE = Path(__file__).resolve().parents[3] / "build" / "sslyze" / "bin" / "sslyze"
VERSIONS = {"ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3"}
OLD = "ALL:@SECLEVEL=0"


@pytest.fixture(scope="module")
def openssl(program):
    return program("openssl", "openssl")


@pytest.fixture
def port(serve, tmp_path):
    """That of our server; with a key that every suite of TLS 1.2 can be asked of."""
    certificate, key = AUTHORITY.issue(key=new_key("rsa")).write(tmp_path)
    config = tmp_path / "erlmcp.toml"
    config.write_text(
        f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n[mcp]\nallowed_hosts = ["mcp.example.com"]\n'
    )
    server = serve("--config", str(config)).started()
    return int(server.url.rsplit(":", 1)[1].split("/")[0])


class Old(socketserver.BaseRequestHandler):
    """Shakes hands, reads once, answers once."""

    def handle(self):
        with (
            contextlib.suppress(OSError),
            self.server.tls.wrap_socket(self.request, server_side=True) as inside,
        ):
            inside.recv(4096)
            inside.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def bad_port(tmp_path):
    """That of a server that speaks nothing newer than TLS 1.1, with every suite it has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is old: that is what it is here for
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers(OLD)
    context.load_cert_chain(*AUTHORITY.issue(key=new_key("rsa")).write(tmp_path, "bad"))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Old) as server:
        server.daemon_threads = True
        server.tls = context
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join(5)


@pytest.fixture
def agrees(openssl, tmp_path):
    """What openssl agrees on with a server: its version and suite, or None when the handshake fails."""
    (tmp_path / "authority.pem").write_bytes(AUTHORITY.pem)

    def shake(port, *options):
        command = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "mcp.example.com"]
        command += ["-CAfile", tmp_path / "authority.pem", "-verify_return_error"]
        command += ["-verify_hostname", "mcp.example.com", *options]
        done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30, check=False)
        found = re.search(r"^New, (\S+), Cipher is (\S+)$", done.stdout, re.MULTILINE)
        if done.returncode or not found or found[2] == "(NONE)":
            return None
        session = re.search(r"Protocol *: *(\S+)", done.stdout)  # in 1.3 it may come too late to be shown
        return session[1] if session else found[1], found[2]

    return shake


def test_openssl_agrees_on_1_2_and_1_3_and_on_nothing_older(agrees, port, bad_port):
    assert agrees(port, "-tls1_3")[0] == "TLSv1.3"
    assert agrees(port, "-tls1_2")[0] == "TLSv1.2"
    for old in ("-tls1_1", "-tls1"):
        assert agrees(port, old, "-cipher", OLD) is None
        assert agrees(bad_port, old, "-cipher", OLD), "openssl here cannot offer what we want to see refused"


def test_openssl_agrees_on_no_suite_without_forward_secrecy_and_authenticated_encryption(agrees, port):
    good, bad = "ECDHE-RSA-AES128-GCM-SHA256", ("ECDHE-RSA-AES256-SHA384", "AES256-GCM-SHA384", "AES128-SHA")
    assert agrees(port, "-tls1_2", "-cipher", good) == ("TLSv1.2", good)
    for suite in bad:
        assert agrees(port, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0") is None


def test_openssl_asks_in_vain_for_another_handshake_on_the_same_connection(openssl, port, tmp_path):
    """A client could make the server work again and again with it; ``R`` asks for it."""
    command = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2"]
    done = subprocess.run(command, input="R\n", capture_output=True, text=True, timeout=30, check=False)
    assert "RENEGOTIATING" in done.stdout + done.stderr
    assert "no renegotiation" in done.stdout + done.stderr


@pytest.fixture
def scan(program, tmp_path):
    """What sslyze finds: the complaints against Mozilla's recommendation, and its own results."""
    sslyze = program("sslyze", "it with scripts/system-parts.sh", beside=SSLYZE)
    (tmp_path / "authority.pem").write_bytes(AUTHORITY.pem)

    def run(port):
        out = tmp_path / f"{port}.json"
        command = [
            sslyze,
            "--certinfo_ca_file",
            tmp_path / "authority.pem",
            "--json_out",
            out,
            "--early_data",
        ]
        command += ["--mozilla_config", "intermediate", f"mcp.example.com:{port}{{127.0.0.1}}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        (result,) = json.loads(out.read_text())["server_scan_results"]
        assert result["scan_status"] == "COMPLETED", done.stdout
        complaints = dict(
            re.findall(r"^ +\* (\w+): (.*)$", done.stdout.partition("COMPLIANCE")[2], re.MULTILINE)
        )
        return complaints, result["scan_result"]

    return run


def accepted(found):
    """Version to the names of the suites that the server accepted."""
    suites = {name: found[f"{name}_cipher_suites"]["result"] for name in VERSIONS}
    return {
        name: {each["cipher_suite"]["name"] for each in result["accepted_cipher_suites"]}
        for name, result in suites.items()
        if result["accepted_cipher_suites"]
    }


def test_sslyze_finds_the_recommended_configuration_and_no_known_hole(scan, port):
    complaints, found = scan(port)
    # Python names no way to leave out curves before 3.15; those beyond the recommendation are not weak.
    assert complaints.keys() <= {"tls_curves"}, complaints
    suites = accepted(found)
    assert suites.keys() == {"tls_1_2", "tls_1_3"}
    assert all(name.startswith("TLS_ECDHE_") for name in suites["tls_1_2"])
    assert not found["heartbleed"]["result"]["is_vulnerable_to_heartbleed"]
    assert not found["openssl_ccs_injection"]["result"]["is_vulnerable_to_ccs_injection"]
    assert not found["tls_compression"]["result"]["supports_compression"]
    assert not found["tls_1_3_early_data"]["result"]["supports_early_data"]
    renegotiation = found["session_renegotiation"]["result"]
    assert renegotiation["supports_secure_renegotiation"]
    assert not renegotiation["is_vulnerable_to_client_renegotiation_dos"]
    assert found["tls_fallback_scsv"]["result"]["supports_fallback_scsv"]
    assert found["robot"]["result"]["robot_result"].startswith("NOT_VULNERABLE")


def test_sslyze_does_find_an_old_server(scan, bad_port):
    """Control of the test above."""
    complaints, found = scan(bad_port)
    assert {"tls_versions", "ciphers"} <= complaints.keys()
    assert accepted(found).keys() == {"tls_1_0", "tls_1_1"}
