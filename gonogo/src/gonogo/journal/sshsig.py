"""OpenSSH's signature format (SSHSIG, PROTOCOL.sshsig), read, checked and written. Pure.

It knows nothing of people or key files: ``gonogo.people.signing`` does. What it writes, ``ssh-keygen -Y
verify`` accepts, and the other way round. Ed25519, ECDSA on the NIST curves, RSA from 2048 bits; no SHA-1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey

ARMOUR_LIMIT_CHARS = 16 * 1024
RSA_BITS_MIN = 2048
_MAGIC = b"SSHSIG"
_VERSION = 1
_ARMOUR = re.compile(
    r"\s*-----BEGIN SSH SIGNATURE-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END SSH SIGNATURE-----\s*"
)
_MESSAGE_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_CURVE_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_CURVE_NAMES = {"secp256r1": "nistp256", "secp384r1": "nistp384", "secp521r1": "nistp521"}


@dataclass(frozen=True, slots=True)
class SshSignature:
    """One parsed signature; ``key_blob`` is the signer's public key in SSH's wire form, unproven."""

    key_blob: bytes
    namespace: str
    hash_name: str
    algorithm: str
    signature: bytes

    @classmethod
    def parse(cls, armour: str) -> SshSignature:
        """The signature in an armour.

        Raises:
            ValueError: it is not in the format, or of another version of it.
        """
        match = _ARMOUR.fullmatch(armour[: ARMOUR_LIMIT_CHARS + 1])
        if match is None or len(armour) > ARMOUR_LIMIT_CHARS:
            raise ValueError("not an SSH signature in its armour")
        try:
            wire = _Wire(base64.b64decode("".join(match[1].split()), validate=True))
        except binascii.Error as cause:
            raise ValueError("not base64 inside the armour") from cause
        if wire.take(len(_MAGIC)) != _MAGIC or wire.number() != _VERSION:
            raise ValueError("not an SSH signature of version 1")
        key_blob, namespace, _reserved, hash_name = wire.string(), wire.text(), wire.string(), wire.text()
        inner = _Wire(wire.string())
        wire.end()
        algorithm, signature = inner.text(), inner.string()
        inner.end()
        return cls(key_blob, namespace, hash_name, algorithm, signature)

    def check(self, data: bytes, *, namespace: str) -> None:
        """Accept that the holder of ``key_blob`` signed ``data`` for ``namespace``.

        Raises:
            ValueError: they did not, or not in a way that counts; the message says which.
        """
        if self.namespace != namespace:
            raise ValueError(f"signed for another namespace, got {self.namespace!r}; expected {namespace!r}")
        if self.hash_name not in _MESSAGE_HASHES:
            raise ValueError(f"hash not accepted, got {self.hash_name!r}")
        signed = _signed_data(namespace, self.hash_name, data)
        try:
            _verifier(_public_key(self.key_blob), self.algorithm)(self.signature, signed)
        except InvalidSignature as cause:
            raise ValueError("the signature does not fit the text") from cause


def armour_of(key: PrivateKey, data: bytes, *, namespace: str) -> str:
    """Sign ``data`` with ``key``: the armour that ``ssh-keygen -Y verify`` reads."""
    algorithm, signature = _sign(key, _signed_data(namespace, "sha512", data))
    blob = b"".join(
        (
            _MAGIC,
            _VERSION.to_bytes(4, "big"),
            _string(key_blob_of(key.public_key())),
            _string(namespace.encode()),
            _string(b""),
            _string(b"sha512"),
            _string(_string(algorithm.encode()) + _string(signature)),
        )
    )
    text = base64.b64encode(blob).decode()
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


def key_blob_of(key: PublicKey) -> bytes:
    """A public key in SSH's wire form."""
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(line.split(b" ")[1])


def key_blob_from_line(line: str) -> bytes:
    """The public key in a line of the authorized_keys form, options and comment aside.

    Raises:
        ValueError: there is none in it.
    """
    fields = line.split()
    for kind, encoded in pairwise(fields):
        try:
            blob = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            continue
        if blob.startswith(_string(kind.encode())):
            return blob
    raise ValueError("not a public key in the authorized_keys form")


def _signed_data(namespace: str, hash_name: str, data: bytes) -> bytes:
    digest = _MESSAGE_HASHES[hash_name](data).digest()
    return _MAGIC + _string(namespace.encode()) + _string(b"") + _string(hash_name.encode()) + _string(digest)


def _public_key(blob: bytes) -> PublicKey:
    kind = _Wire(blob).text()
    key = load_ssh_public_key(f"{kind} {base64.b64encode(blob).decode()}".encode())
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise ValueError(f"kind of key not accepted, got {kind!r}")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < RSA_BITS_MIN:
        raise ValueError(f"RSA key too short, got {key.key_size} bits; expected at least {RSA_BITS_MIN}")
    return key


def _verifier(key: PublicKey, algorithm: str) -> Callable[[bytes, bytes], None]:
    if isinstance(key, ed25519.Ed25519PublicKey) and algorithm == "ssh-ed25519":
        return key.verify
    if isinstance(key, ec.EllipticCurvePublicKey) and algorithm == _ecdsa_name(key.curve):
        curve_hash = ec.ECDSA(_CURVE_HASHES[key.curve.name])
        return lambda signature, signed: key.verify(_der_signature(signature), signed, curve_hash)
    if isinstance(key, rsa.RSAPublicKey) and algorithm in ("rsa-sha2-256", "rsa-sha2-512"):
        rsa_hash = hashes.SHA256() if algorithm == "rsa-sha2-256" else hashes.SHA512()
        return lambda signature, signed: key.verify(signature, signed, padding.PKCS1v15(), rsa_hash)
    raise ValueError(f"algorithm not accepted for this key, got {algorithm!r}")


def _sign(key: PrivateKey, signed: bytes) -> tuple[str, bytes]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ssh-ed25519", key.sign(signed)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        der = key.sign(signed, ec.ECDSA(_CURVE_HASHES[key.curve.name]))
        r, s = decode_dss_signature(der)
        return _ecdsa_name(key.curve), _string(_mpint(r)) + _string(_mpint(s))
    return "rsa-sha2-512", key.sign(signed, padding.PKCS1v15(), hashes.SHA512())


def _ecdsa_name(curve: ec.EllipticCurve) -> str:
    return f"ecdsa-sha2-{_CURVE_NAMES[curve.name]}"


def _der_signature(signature: bytes) -> bytes:
    wire = _Wire(signature)
    r, s = int.from_bytes(wire.string(), "big"), int.from_bytes(wire.string(), "big")
    wire.end()
    return encode_dss_signature(r, s)


def _mpint(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")  # one bit more than needed: never negative


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class _Wire:
    """Reads SSH's wire form; running short or over is a ``ValueError``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise ValueError("the signature is cut short")
        self._at += size
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        return self.string().decode("utf-8")

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("the signature has bytes after its end")
