"""Opaque access tokens: their issuer is asked whether they are good (RFC 7662), and its word is kept a while.

Nobody's word is a no: an issuer that does not answer is no reason to let anybody in. The audience is never
optional here either. How long a yes is kept is ``erlmcp.edge.auth.gate``; asking is ``fetching``.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from erlmcp.config.auth_settings import AuthSettings, IssuerSettings
from erlmcp.config.errors import ErlmcpError
from erlmcp.config.private_files import is_open_to_others
from erlmcp.edge.auth.fetching import Fetcher, FetchError
from erlmcp.edge.auth.jwt_tokens import grant_of
from erlmcp.protocol.grants import INVALID_TOKEN, UNAVAILABLE, Denial, Grant
from erlmcp.telemetry.logs import Log

MAX_ASKING: Final = 100
"""Tokens that an issuer is asked about at one time; more are refused with 503."""
MAX_SECRET_BYTES: Final = 4_096

NOT_ACTIVE: Final = Denial(401, INVALID_TOKEN, "the token is not active")
NOT_FOR_US: Final = Denial(401, INVALID_TOKEN, "the token is for somebody else")
NO_ANSWER: Final = Denial(503, UNAVAILABLE, "the issuer cannot be asked about the token; try again")
TOO_MANY: Final = Denial(503, UNAVAILABLE, "the issuer is asked about too many tokens; try again")

log = Log(__name__)


class Introspection:
    """Asks one issuer about its opaque tokens.

    Args:
        settings: of all access tokens.
        issuer: whom to ask.
        fetcher: asks it.
        wall_clock: seconds of the epoch.

    Raises:
        ErlmcpError: auth.secret-file.
    """

    def __init__(
        self,
        settings: AuthSettings,
        issuer: IssuerSettings,
        fetcher: Fetcher,
        wall_clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._issuer = issuer
        self._fetcher = fetcher
        self._wall_clock = wall_clock
        self._credentials = (issuer.client_id, client_secret(issuer))
        self._audiences = {settings.resource, *issuer.audiences}
        self._asking: dict[bytes, asyncio.Task[Grant | Denial]] = {}

    async def ask(self, token: str) -> Grant | Denial:
        """Whether a token is good. All who ask about the same one meanwhile share an answer."""
        name = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        asking = self._asking.get(name)
        if asking is None:
            if len(self._asking) >= MAX_ASKING:
                return TOO_MANY
            asking = self._asking[name] = asyncio.create_task(self._ask(token))
            asking.add_done_callback(lambda _: self._asking.pop(name, None))
        return await asyncio.shield(asking)

    async def _ask(self, token: str) -> Grant | Denial:
        form = {"token": token, "token_type_hint": "access_token"}
        url = self._issuer.introspection_url
        try:
            answer = await self._fetcher.json(url, form=form, credentials=self._credentials)
        except FetchError as fault:
            log.warning("auth.introspection-failed", issuer=self._issuer.issuer, fault=str(fault))
            return NO_ANSWER
        return self._judged(token, answer)

    def _judged(self, token: str, answer: Mapping[str, Any]) -> Grant | Denial:
        """What the answer allows; whatever it does not say, or says in a way of its own, is no yes."""
        settings, now = self._settings, self._wall_clock()
        if answer.get("active") is not True or answer.get("iss", self._issuer.issuer) != self._issuer.issuer:
            return NOT_ACTIVE
        if str(answer.get("token_type", "bearer")).lower() not in ("bearer", "access_token"):
            return NOT_ACTIVE
        if not self._audiences & _audiences_in(answer):
            return NOT_FOR_US
        expires_at, begins_at = answer.get("exp"), answer.get("nbf", 0)
        if not _is_time(begins_at) or begins_at > now + settings.clock_skew_s:
            return NOT_ACTIVE
        left_s = settings.verdict_max_age_s
        if expires_at is not None:
            if not _is_time(expires_at):
                return NOT_ACTIVE
            left_s = min(left_s, expires_at + settings.clock_skew_s - now)
        if left_s <= 0 or not (answer.get("sub") or answer.get("client_id")):
            return NOT_ACTIVE
        good_until = asyncio.get_running_loop().time() + left_s
        return grant_of(
            token, answer, self._issuer.issuer, settings.resource, good_until=good_until, basis=self
        )

    def close(self) -> None:
        """Ask no more."""
        for asking in self._asking.values():
            asking.cancel()


def client_secret(issuer: IssuerSettings) -> str:
    """With what we prove to an issuer that we may ask.

    Raises:
        ErlmcpError: auth.secret-file: it cannot be read, is open to others, empty, or no line of text.
    """
    file = Path(issuer.client_secret_file)
    try:
        with file.open("rb") as opened:
            found = file.stat()
            secret = opened.read(MAX_SECRET_BYTES + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise _bad_file(
            file, f"{type(fault).__name__}", "a readable file with a line of ASCII text"
        ) from None
    if is_open_to_others(found):
        raise _bad_file(file, f"mode {found.st_mode & 0o777:04o}", "0600 or less")
    if not secret or len(secret) > MAX_SECRET_BYTES or "\n" in secret:
        raise _bad_file(file, f"{len(secret)} characters", f"one line of at most {MAX_SECRET_BYTES}")
    return secret


def _bad_file(file: Path, got: str, expected: str) -> ErlmcpError:
    return ErlmcpError(
        "auth.secret-file",
        f"the client secret for introspection cannot be used, got {got} of {file}; expected {expected}",
        hint=f"write the secret that the issuer gave this server into {file}, and chmod 600 it",
    )


def _audiences_in(answer: Mapping[str, Any]) -> set[str]:
    found = answer.get("aud")
    if isinstance(found, str):
        return {found}
    return {each for each in found if isinstance(each, str)} if isinstance(found, list) else set()


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
