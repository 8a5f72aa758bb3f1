"""The files of ``[tls]``: read, judged, and told apart from earlier ones.

Nothing is taken over that would not work: a key must be private, fit its certificate and be accepted by
OpenSSL, and the certificate must hold now. How it is spoken with is ``erlmcp.edge.tls``; looking for renewed
files while the server runs is ``erlmcp.supervisor.renewal``.
"""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.private_files import is_open_to_others
from erlmcp.config.schema import TlsSettings
from erlmcp.edge.tls import Identity, server_context

MAX_FILE_BYTES: Final = 1024 * 1024
"""Of one file; a bundle of all public authorities is a quarter of it."""


@dataclass(frozen=True)
class Certified:
    """An identity that holds, and until when.

    Attributes:
        expires_at: when the first certificate of its chain expires, UTC.
        subject: of the server's certificate, for people.
    """

    identity: Identity
    expires_at: datetime
    subject: str


def read(settings: TlsSettings, now: datetime) -> Certified | None:
    """The identity that the settings name; None when TLS is off.

    Args:
        now: the time, UTC.

    Raises:
        ErlmcpError: tls.incomplete, tls.unreadable, tls.key-open, tls.not-pem, tls.key-mismatch,
            tls.not-valid-now, tls.refused.
    """
    _require_whole(settings)
    if not settings.certificate:
        return None
    chain = _certificates(settings.certificate, "tls.certificate")
    key = _key(settings.key)
    if _public(key, settings.key) != _public(chain[0], settings.certificate):
        raise ErlmcpError(
            "tls.key-mismatch",
            f"tls.key does not belong to the certificate, got {settings.key} for {settings.certificate};"
            " expected the key that the certificate was made for",
            hint="name the two files of one pair; in the file the server's own certificate comes first",
        )
    for each in chain:
        _require_valid(each, settings.certificate, now)
    authorities = _certificates(settings.client_ca, "tls.client_ca") if settings.client_ca else []
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    identity = Identity(_pem(chain), pem, _pem(authorities))
    _require_accepted(identity, settings)
    return Certified(
        identity, min(each.not_valid_after_utc for each in chain), chain[0].subject.rfc4514_string()
    )


def _require_whole(settings: TlsSettings) -> None:
    for named, needs in (("certificate", "key"), ("key", "certificate"), ("client_ca", "certificate")):
        if getattr(settings, named) and not getattr(settings, needs):
            raise ErlmcpError(
                "tls.incomplete",
                f"tls.{named} is given without tls.{needs}, got one; expected both",
                hint=f"give tls.{needs} as well, or neither to serve without TLS",
            )


def _read(file: str, setting: str, *, private: bool = False) -> bytes:
    """The bytes of a file; the rights are those of the very file that is read."""
    try:
        with Path(file).open("rb") as opened:
            found = os.fstat(opened.fileno())
            data = opened.read(MAX_FILE_BYTES + 1) if stat.S_ISREG(found.st_mode) else None
    except OSError as fault:
        raise _unreadable(file, setting, fault.strerror or str(fault)) from fault
    if data is None:
        raise _unreadable(file, setting, "not a regular file")
    if len(data) > MAX_FILE_BYTES:
        raise _unreadable(file, setting, f"more than {MAX_FILE_BYTES} bytes")
    if private and is_open_to_others(found):
        raise ErlmcpError(
            "tls.key-open",
            f"the private key is open to others, got mode {stat.S_IMODE(found.st_mode):04o} of {file};"
            " expected 0600 or less, or 0640 if it is root's and we are not",
            hint=f"chmod 600 {file}, and replace certificate and key if others could read it",
        )
    return data


def _unreadable(file: str, setting: str, why: str) -> ErlmcpError:
    return ErlmcpError(
        "tls.unreadable",
        f"the file of {setting} cannot be read, got {file}: {why}; expected a readable PEM file",
        hint="check the path and that the user of the server may read it",
    )


def _certificates(file: str, setting: str) -> list[x509.Certificate]:
    data = _read(file, setting)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as fault:
        raise _not_pem(file, setting, "no PEM certificates") from fault


def _key(file: str) -> PrivateKeyTypes:
    data = _read(file, "tls.key", private=True)
    try:
        return load_pem_private_key(data, None)
    except TypeError as fault:
        raise _not_pem(file, "tls.key", "an encrypted key") from fault
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise _not_pem(file, "tls.key", "no PEM private key that is known") from fault


def _not_pem(file: str, setting: str, got: str) -> ErlmcpError:
    expected = "one private key that is not encrypted" if setting == "tls.key" else "PEM certificates"
    return ErlmcpError(
        "tls.not-pem",
        f"the file of {setting} holds something else, got {got} in {file}; expected {expected}",
        hint=f"openssl {'pkey' if setting == 'tls.key' else 'x509'} -in {file} -noout says what is wrong",
    )


def _public(holder: PrivateKeyTypes | x509.Certificate, file: str) -> bytes:
    try:
        return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise _not_pem(file, "tls.certificate", "a key of an unknown kind") from fault


def _require_valid(certificate: x509.Certificate, file: str, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= now < ends:
        raise ErlmcpError(
            "tls.not-valid-now",
            f"a certificate does not hold at {now.isoformat(timespec='seconds')}, got"
            f" {certificate.subject.rfc4514_string() or 'one without a subject'} in {file}, valid from"
            f" {begins.isoformat()} until {ends.isoformat()}; expected one that holds now",
            hint="renew it; if it is right, look at the clock of this machine",
        )


def _pem(certificates: list[x509.Certificate]) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in certificates)


def _require_accepted(identity: Identity, settings: TlsSettings) -> None:
    try:
        server_context(identity, minimum=settings.minimum)
    except ssl.SSLError as fault:
        raise ErlmcpError(
            "tls.refused",
            f"OpenSSL refuses the certificate, the key or the authorities, got {fault.reason or fault} for"
            f" {settings.certificate}; expected ones that it can serve with",
            hint="RSA keys need 2048 bits or more, and signatures SHA-256 or better",
        ) from fault
