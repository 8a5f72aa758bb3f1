"""Signing and verifying with the SSH keys that engineers already have.

A private key file is read for one signature. A key with a passphrase is not asked for here: ``ssh-keygen -Y
sign`` (and so the agent and hardware keys) makes the same signature, which can be handed over instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from gonogo.journal.sshsig import PrivateKey, SshSignature, armour_of, key_blob_from_line
from gonogo.model.errors import GonogoError
from gonogo.model.statement import NAMESPACE, statement_bytes

KEY_FILE_LIMIT_BYTES = 64 * 1024

__all__ = ["sign", "statement_bytes", "verify"]


def sign(key_path: Path, data: bytes, namespace: str = NAMESPACE) -> str:
    """Sign ``data`` with the private key in a file; the answer is what ``ssh-keygen -Y sign`` writes.

    Raises:
        GonogoError: ``people.key-unreadable``, ``people.key-encrypted``.
    """
    return armour_of(_private_key(key_path), data, namespace=namespace)


def verify(signature: str, data: bytes, public_keys: Iterable[str], namespace: str = NAMESPACE) -> str:
    """Accept a signature by one of the public keys (authorized_keys form); returns that key's line.

    Raises:
        GonogoError: ``people.bad-signature`` with what is wrong with it.
    """
    try:
        parsed = SshSignature.parse(signature)
        parsed.check(data, namespace=namespace)
        by_blob = {key_blob_from_line(line): line for line in public_keys}
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise _bad(f"{cause}") from cause
    if parsed.key_blob not in by_blob:
        raise _bad(f"made with a key that is none of this person's, got none of {len(by_blob)} keys")
    return by_blob[parsed.key_blob]


def _private_key(path: Path) -> PrivateKey:
    try:
        with path.open("rb") as file:
            text = file.read(KEY_FILE_LIMIT_BYTES)
    except OSError as cause:
        raise _unreadable(path, cause.strerror or "unreadable") from cause
    load = load_ssh_private_key if b"BEGIN OPENSSH" in text else load_pem_private_key
    try:
        key = load(text, password=None)
    except TypeError as cause:  # what cryptography raises for a key that needs its passphrase
        raise GonogoError(
            "people.key-encrypted",
            f"the private key has a passphrase, got {path}; expected one without, or a finished signature",
            hint=f"sign the text with `ssh-keygen -Y sign -n {NAMESPACE} -f {path}` and pass the signature",
        ) from cause
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise _unreadable(path, str(cause)) from cause
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise _unreadable(path, f"a {type(key).__name__}")
    return key


def _unreadable(path: Path, got: str) -> GonogoError:
    return GonogoError(
        "people.key-unreadable",
        f"the private key cannot be used, got {path}: {got}; expected an Ed25519, ECDSA or RSA key",
        hint="make one with `ssh-keygen -t ed25519`, and put its public key on the roster in gonogo.toml",
    )


def _bad(what: str) -> GonogoError:
    return GonogoError(
        "people.bad-signature",
        f"the signature does not count: {what}",
        hint="sign the text again with the key that stands on the roster in gonogo.toml",
        exit_code=1,
    )
