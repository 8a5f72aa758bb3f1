"""Secrets: they never stand in the configuration file, and no guest sees where they come from.

Session keys outlive a process. They come from ``ERLMCP_SESSION_KEYS`` or from the file that
``ERLMCP_SESSION_KEYS_FILE`` names, else they are made new, and then sessions end with this process tree.
Sealing with them is ``erlmcp.sessions.sealed``. The password of the bus between hosts comes from
``ERLMCP_BUS_PASSWORD``, or from the file that ``ERLMCP_BUS_PASSWORD_FILE`` names.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.private_files import is_open_to_others

ENVIRONMENT_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ERLMCP_SESSION_KEYS": "Keys that seal sessions, 32 bytes each as hex or base64, separated by commas"
        " or white space; the first seals, all open. Without any, sessions end with the server.",
        "ERLMCP_SESSION_KEYS_FILE": "File with such keys; it wins, and `erlmcp change-keys` reads it again.",
        "ERLMCP_BUS_PASSWORD": "Password of the Redis server that `bus.url` names.",
        "ERLMCP_BUS_PASSWORD_FILE": "File with that password; it wins.",
    }
)
"""Variables that hold secrets, and their meanings: no setting, and not for guests."""
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


def has_shared_keys(environ: Mapping[str, str]) -> bool:
    """Whether the session keys are ones that other hosts can have, too."""
    return any(environ.get(name) for name in ("ERLMCP_SESSION_KEYS", "ERLMCP_SESSION_KEYS_FILE"))


def bus_password(environ: Mapping[str, str]) -> str:
    """The password of the bus; empty when there is none.

    Raises:
        ErlmcpError: config.bus-password-file.
    """
    file = environ.get("ERLMCP_BUS_PASSWORD_FILE", "")
    if not file:
        return environ.get("ERLMCP_BUS_PASSWORD", "")
    opened, text, fault = _content(Path(file))
    why = fault or (f"mode {opened}" if opened else "" if text.strip() else "nothing in it")
    if why:
        raise ErlmcpError(
            "config.bus-password-file",
            f"the password of the bus cannot be read, got {file}: {why}; expected a file that only its owner"
            " can read",
            hint=f"write the password into it and chmod 600 {file}",
        )
    return text.strip()


def _content(file: Path) -> tuple[str, str, str]:
    """The mode of a file if it is open to others, its text, and why it cannot be read."""
    try:
        found = file.stat()
        opened = f"{stat.S_IMODE(found.st_mode):04o}" if is_open_to_others(found) else ""
        return opened, file.read_text(encoding="utf-8"), ""
    except (OSError, UnicodeDecodeError) as fault:
        return "", "", str(fault)


def _read_private(file: Path) -> str:
    opened, text, fault = _content(file)
    if fault:
        raise _unusable(str(file), fault)
    if opened:
        raise ErlmcpError(
            "config.session-keys-file",
            f"the session keys are open to others, got mode {opened} of {file}; expected 0600 or less, or"
            " 0640 if it is root's and we are not",
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
