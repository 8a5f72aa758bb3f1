"""Whether an access token is good: asks whoever knows tokens of its kind, and keeps the answer for a while.

What is kept is bounded in number and age, ends with the token, and is dropped at once when what it rests on
(a line of the file, a key of the issuer) is gone. Who holds a connection open for long has it watched. Where
a token stands in a request is ``bearer``, what is said to the client ``challenge``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from erlmcp.config.auth_settings import AuthSettings
from erlmcp.config.errors import ErlmcpError
from erlmcp.edge.auth import static_tokens
from erlmcp.edge.auth.bearer import token_in
from erlmcp.edge.auth.metadata import metadata_url
from erlmcp.edge.auth.scopes import Scopes
from erlmcp.edge.auth.static_tokens import StaticToken, StaticTokens
from erlmcp.protocol.grants import INSUFFICIENT_SCOPE, INVALID_TOKEN, Denial, Grant
from erlmcp.protocol.headers import Headers
from erlmcp.telemetry.logs import Log

MAX_KEPT: Final = 10_000
"""Tokens found good that are remembered; when all places are taken it begins anew."""

JWT_DOTS: Final = 2
UNKNOWN: Final = Denial(401, INVALID_TOKEN, "the token is not known here, or no longer")

if TYPE_CHECKING:
    from erlmcp.edge.auth.fetching import Fetcher
    from erlmcp.edge.auth.introspection import Introspection
    from erlmcp.edge.auth.jwt_tokens import JwtTokens

log = Log(__name__)


class Gate:
    """Judges the tokens of one worker.

    Args:
        settings: whose tokens are good; what is named there has been read once by ``check``.
        wall_clock: seconds of the epoch.

    Raises:
        ErlmcpError: auth.tokens-file, auth.bad-token-line, auth.incomplete, auth.secret-file.
    """

    def __init__(self, settings: AuthSettings, wall_clock: Callable[[], float] = time.time) -> None:
        _require_complete(settings)
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._kept: dict[bytes | None, Grant] = {}
        self._grants: WeakSet[Grant] = WeakSet()
        self._watches: set[Watch] = set()
        self._required = frozenset(settings.required_scopes)
        self._scopes = Scopes(settings)
        self._static = StaticTokens(())
        self._seen: tuple[int, ...] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        if settings.tokens_file:
            self._seen = _stamp(settings.tokens_file)
            self._static = static_tokens.read(Path(settings.tokens_file))
            self._tasks.append(self._loop.create_task(self._reload_for_ever()))
        self._fetcher: Fetcher | None = None
        self._jwt: JwtTokens | None = None
        self._introspection: Introspection | None = None
        if settings.issuers:  # else what it takes is never imported
            from erlmcp.edge.auth.fetching import Fetcher
            from erlmcp.edge.auth.jwt_tokens import JwtTokens

            self._fetcher = Fetcher(settings.fetch_timeout_s)
            self._jwt = JwtTokens(settings, self._fetcher, partial(self.revoke, _is_gone_key), wall_clock)
            self._introspection = _introspection(settings, self._fetcher, wall_clock)

    @property
    def required_scopes(self) -> tuple[str, ...]:
        """What every token must have."""
        return self._settings.required_scopes

    @property
    def metadata_url(self) -> str:
        """Where clients read who issues tokens; empty where nobody does."""
        return metadata_url(self._settings)

    def judge(self, headers: Headers, target: bytes) -> Grant | Denial | None:
        """Whether a request has a token that is good; None if somebody must be asked, which ``ask`` does.

        Args:
            headers: of the request.
            target: its target; a token in the query is refused.
        """
        credential = headers.raw(b"authorization")
        kept = self._kept.get(credential)
        if kept is not None and self._now() < kept.good_until and b"?" not in target:
            return kept
        token = token_in(headers, target)
        if isinstance(token, Denial):
            return token
        verdict = self.judge_token(token)
        if isinstance(verdict, Grant):
            self._keep(credential, verdict)
        return verdict

    async def ask(self, headers: Headers, target: bytes) -> Grant | Denial:
        """As ``judge``, and ask whom it takes. It takes no longer than the issuers are given."""
        token = token_in(headers, target)
        if isinstance(token, Denial):
            return token
        verdict = await self.ask_token(token)
        if isinstance(verdict, Grant):
            self._keep(headers.raw(b"authorization"), verdict)
        return verdict

    def judge_token(self, token: str) -> Grant | Denial | None:
        """Whether a token is good; None if somebody must be asked, which ``ask_token`` does."""
        line = self._static.find(token)
        if line is not None:
            return self._taken(self._grant_of(token, line))
        if self._jwt is None or not _is_jwt(token):
            return UNKNOWN if self._introspection is None else None
        verdict = self._jwt.judge(token)
        return self._taken(verdict) if isinstance(verdict, Grant) else verdict

    async def ask_token(self, token: str) -> Grant | Denial:
        """As ``judge_token``, and ask whom it takes."""
        verdict = self.judge_token(token)
        tokens = self._jwt if _is_jwt(token) else self._introspection
        if verdict is None and tokens is not None:
            verdict = await tokens.ask(token)
            verdict = self._taken(verdict) if isinstance(verdict, Grant) else verdict
        return verdict or UNKNOWN

    def _grant_of(self, token: str, line: StaticToken) -> Grant:
        return Grant(
            token,
            client_id=line.name,
            subject=line.name,
            scopes=line.scopes,
            good_until=self._now() + self._settings.verdict_max_age_s,
            basis=line,
        )

    def _taken(self, grant: Grant) -> Grant | Denial:
        """A grant that has what every token must have."""
        if not self._scopes.cover(grant.scopes, self._required):
            needed = tuple(sorted(self._required))
            return Denial(403, INSUFFICIENT_SCOPE, "the token lacks a scope that is always needed", needed)
        self._grants.add(grant)
        return grant

    def _keep(self, credential: bytes | None, grant: Grant) -> None:
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[credential] = grant

    # -- what does not last --

    def watch(self, grant: Grant, on_end: Callable[[], None]) -> Watch:
        """Call ``on_end`` once when the token is no longer good, until the watch is cancelled."""
        watch = Watch(self, grant, on_end)
        self._watches.add(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        """Callback of the watch."""
        self._watches.discard(watch)

    def revoke(self, is_gone: Callable[[object], bool]) -> None:
        """Forget every grant whose basis is gone."""
        for grant in list(self._grants):
            if is_gone(grant.basis):
                grant.good_until = 0.0
        self._kept = {key: kept for key, kept in self._kept.items() if kept.good_until}
        for watch in list(self._watches):
            watch.look()

    async def _reload_for_ever(self) -> None:
        file = self._settings.tokens_file
        while True:
            await asyncio.sleep(self._settings.reload_interval_s)
            seen = _stamp(file)
            if seen == self._seen:
                continue
            self._seen = seen  # as it was before reading: what changes meanwhile is read the next time
            try:
                self._static = static_tokens.read(Path(file))
            except ErlmcpError as fault:
                self._tell_refused(fault)
            else:
                log.info("auth.tokens-reloaded", file=file)
                self.revoke(partial(_is_no_line_of, self._static))

    def _tell_refused(self, fault: ErlmcpError) -> None:
        log.error("auth.tokens-not-reloaded", error_id=fault.error_id, message=fault.message, hint=fault.hint)

    async def close(self) -> None:
        """Look at nothing any more."""
        for task in self._tasks:
            task.cancel()
        for watch in list(self._watches):
            watch.cancel()
        if self._jwt is not None:
            self._jwt.close()
        if self._introspection is not None:
            self._introspection.close()
        if self._fetcher is not None:
            await self._fetcher.close()


class Watch:
    """Looks at one token again whenever what is known of it ends. Make it with `Gate.watch`."""

    def __init__(self, gate: Gate, grant: Grant, on_end: Callable[[], None]) -> None:
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._grant = grant
        self._on_end = on_end
        self._timer = self._loop.call_at(grant.good_until, self.look)
        self._asking: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Judge the token again if the last judgement has run out."""
        self._timer.cancel()
        if self._asking is not None:
            return
        if self._loop.time() < self._grant.good_until:
            self._timer = self._loop.call_at(self._grant.good_until, self.look)
            return
        verdict = self._gate.judge_token(self._grant.token)
        if verdict is None:
            self._asking = self._loop.create_task(self._ask())
        else:
            self._take(verdict)

    async def _ask(self) -> None:
        verdict = await self._gate.ask_token(self._grant.token)
        self._asking = None
        self._take(verdict)

    def _take(self, verdict: Grant | Denial) -> None:
        if isinstance(verdict, Grant):
            self._grant = verdict
            self._timer = self._loop.call_at(verdict.good_until, self.look)
        else:
            self.cancel()
            self._on_end()

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
        self._gate.unwatch(self)


def check(settings: AuthSettings) -> None:
    """Read what the settings name, so that a server that could let nobody in does not start.

    Raises:
        ErlmcpError: auth.tokens-file, auth.bad-token-line, auth.incomplete, auth.secret-file.
    """
    _require_complete(settings)
    if settings.tokens_file:
        static_tokens.read(Path(settings.tokens_file))
    for issuer in settings.issuers:
        if issuer.introspection_url:
            from erlmcp.edge.auth.introspection import client_secret

            client_secret(issuer)


def _introspection(
    settings: AuthSettings, fetcher: Fetcher, wall_clock: Callable[[], float]
) -> Introspection | None:
    """Whom to ask about opaque tokens, if there is anybody."""
    from erlmcp.edge.auth.introspection import Introspection

    asked = (each for each in settings.issuers if each.introspection_url)
    return next((Introspection(settings, each, fetcher, wall_clock) for each in asked), None)


def _require_complete(settings: AuthSettings) -> None:
    """Not a rule of the schema: the parts may come from different sources."""
    if settings.issuers and not settings.resource:
        raise ErlmcpError(
            "auth.incomplete",
            "auth.issuers are named without auth.resource, got nothing; expected the URL of this server for"
            " which tokens must be made",
            hint='resource = "https://mcp.example.com/mcp" under [auth], as clients name this server',
        )
    if not settings.enabled and (settings.scopes or settings.required_scopes):
        raise ErlmcpError(
            "auth.incomplete",
            "scopes are needed by [auth], but nobody is asked for a token, got neither auth.tokens_file nor"
            " auth.issuers; expected one of them",
            hint="name whose tokens are good, or take the scopes out",
        )


def _is_no_line_of(tokens: StaticTokens, basis: object) -> bool:
    return isinstance(basis, StaticToken) and basis not in tokens


def _is_gone_key(basis: object) -> bool:
    return getattr(basis, "gone", False) is True


def _is_jwt(token: str) -> bool:
    return token.count(".") == JWT_DOTS


def _stamp(file: str) -> tuple[int, ...] | None:
    """What changes when a file is written or replaced; links are followed."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns
