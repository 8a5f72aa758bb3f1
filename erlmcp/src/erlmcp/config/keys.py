"""Session keys: secrets that outlive a process and never stand in the configuration file.

They come from ``ERLMCP_SESSION_KEYS`` or from the file that ``ERLMCP_SESSION_KEYS_FILE`` names, else they
are made new, and then sessions end with this process tree. Sealing with them is ``erlmcp.sessions.sealed``.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from erlmcp.config.errors import ErlmcpError

ENVIRONMENT_NAMES = frozenset({"ERLMCP_SESSION_KEYS", "ERLMCP_SESSION_KEYS_FILE"})
KEY_BYTES = 32
MAX_KEYS = 16
_GENERATE = "python3 -c 'import secrets; print(secrets.token_hex(32))' makes one"


def session_keys(environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """The keys, first one seals. Separated by commas or white space; hex or base64.

    Raises:
        ErlmcpError: config.bad-session-key, config.session-keys-file.
    """
    text = environ.get("ERLMCP_SESSION_KEYS", "")
    file = environ.get("ERLMCP_SESSION_KEYS_FILE", "")
    if file:
        text = _read_private(Path(file))
    words = text.replace(",", " ").split()
    if file and not words:
        raise _unusable(file, "no key in it")
    if not words:
        return (secrets.token_bytes(KEY_BYTES),)
    if len(words) > MAX_KEYS:
        raise _bad_key(f"{len(words)} keys", f"at most {MAX_KEYS}")
    return tuple(_decode(word, position) for position, word in enumerate(words, start=1))


def changed_session_keys(environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """The keys as they are in their file now; the environment of a running process cannot change.

    Raises:
        ErlmcpError: keys.no-file, config.bad-session-key, config.session-keys-file.
    """
    if not environ.get("ERLMCP_SESSION_KEYS_FILE"):
        raise ErlmcpError(
            "keys.no-file",
            "the session keys cannot be read again, got none from a file; expected ERLMCP_SESSION_KEYS_FILE",
            hint="start the server with ERLMCP_SESSION_KEYS_FILE to change keys while it runs",
            exit_code=1,
            status=409,
        )
    return session_keys(environ)


def _read_private(file: Path) -> str:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as fault:
        raise _unusable(str(file), str(fault)) from fault
    if mode & 0o077:
        raise ErlmcpError(
            "config.session-keys-file",
            f"the session keys are open to others, got mode {mode:04o} of {file}; expected 0600 or less",
            hint=f"chmod 600 {file}, and change the keys if others could read them",
        )
    return text


def _decode(word: str, position: int) -> bytes:
    for decode in (bytes.fromhex, _base64):
        try:
            key = decode(word)
        except ValueError:
            continue
        if len(key) == KEY_BYTES:
            return key
    raise _bad_key(f"{len(word)} characters as key {position}", f"{KEY_BYTES} bytes as hex or base64")


def _base64(word: str) -> bytes:
    try:
        return base64.b64decode(word, altchars=b"-_" if {"-", "_"} & set(word) else None, validate=True)
    except binascii.Error as fault:
        raise ValueError from fault


def _unusable(file: str, why: str) -> ErlmcpError:
    return ErlmcpError(
        "config.session-keys-file",
        f"the session keys cannot be read, got {file}: {why}; expected a readable file of keys",
        hint=_GENERATE,
    )


def _bad_key(got: str, expected: str) -> ErlmcpError:
    return ErlmcpError(
        "config.bad-session-key", f"bad session keys, got {got}; expected {expected}", hint=_GENERATE
    )
