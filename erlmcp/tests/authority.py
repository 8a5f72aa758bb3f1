"""A certificate authority for tests: real keys, real chains, and whatever is wrong with them on purpose."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from erlmcp.edge.tls import Identity

NAMES = ("localhost", "mcp.example.com")


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - servers and clients of these tests read the real clock


def new_key(kind: str = "ec") -> Any:
    if kind == "rsa":
        return rsa.generate_private_key(65_537, 2048)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Any, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@dataclass
class Issued:
    """A certificate, its key and the intermediates; written as files where a test wants them."""

    chain: list[x509.Certificate]
    key: Any

    @property
    def serial(self) -> int:
        return self.chain[0].serial_number

    @property
    def chain_pem(self) -> bytes:
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.chain)

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    def identity(self, client_ca: bytes = b"") -> Identity:
        return Identity(self.chain_pem.decode(), self.key_pem.decode(), client_ca.decode())

    def write(self, folder: Path, name: str = "server") -> tuple[Path, Path]:
        """Certificate and key; each replaced at once, as a tool that renews them does."""
        paths = (folder / f"{name}.pem", folder / f"{name}.key")
        for path, data in zip(paths, (self.chain_pem, self.key_pem), strict=True):
            new = path.with_suffix(".new")
            new.touch(mode=0o600)
            new.write_bytes(data)
            new.rename(path)
        return paths


class Authority:
    """Signs certificates. One that was made by ``intermediate`` is signed by another."""

    def __init__(self, name: str = "test authority", *, signed_by: Authority | None = None) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = new_key()
        self._above = signed_by
        above = signed_by or self
        self.certificate = (
            _begin(self.name, above.name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(_made_by(above._key), critical=False)
            .sign(above._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def intermediate(self) -> Authority:
        return Authority("test intermediate", signed_by=self)

    def issue(
        self,
        *,
        names: tuple[str, ...] = NAMES,
        valid_from: timedelta = timedelta(days=-1),
        valid_for: timedelta = timedelta(days=90),
        key: Any = None,
    ) -> Issued:
        """A certificate for these names and 127.0.0.1; times count from now."""
        key = key or new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        alternatives = [
            *map(x509.DNSName, names),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        certificate = (
            _begin(subject, self.name, key.public_key(), valid_from, valid_for)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(_BOTH_ENDS, critical=False)
            .add_extension(_made_by(self._key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        between = [self.certificate] if self._above is not None else []
        return Issued([certificate, *between], key)

    def client_context(self, own: Issued | None = None, folder: Path | None = None) -> ssl.SSLContext:
        """A client that believes this authority, and shows a certificate of its own if one is given."""
        context = ssl.create_default_context(cadata=self.pem.decode())
        if own is not None:
            assert folder is not None
            context.load_cert_chain(*own.write(folder, f"client{own.serial}"))
        return context


_BOTH_ENDS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


def _made_by(key: Any) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: Any,
    valid_from: timedelta = timedelta(days=-2),
    valid_for: timedelta = timedelta(days=365),
) -> x509.CertificateBuilder:
    begins = now() + valid_from
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + valid_for)
    )
