"""Access tokens that are JWTs (RFC 9068): signature, issuer, audience and times, all of them, every time.

The audience is never optional: a token must be made for ``auth.resource``, or for one of the audiences that
the configuration takes of its issuer. What a token says about itself chooses among configured keys and
issuers, and nothing else. The keys are ``erlmcp.edge.auth.keys``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
import msgspec

from erlmcp.config.auth_settings import AuthSettings, IssuerSettings
from erlmcp.edge.auth.fetching import Fetcher
from erlmcp.edge.auth.keys import IssuerKeys, Key
from erlmcp.protocol.grants import INVALID_TOKEN, UNAVAILABLE, Denial, Grant

NOT_VALID: Final = Denial(401, INVALID_TOKEN, "the token is not valid")
UNKNOWN_ISSUER: Final = Denial(401, INVALID_TOKEN, "tokens of this issuer are not taken")
UNKNOWN_KEY: Final = Denial(
    401, INVALID_TOKEN, "the token is signed with a key that its issuer does not publish"
)
NO_ACCESS_TOKEN: Final = Denial(401, INVALID_TOKEN, "the token is no access token")
NO_KEYS: Final = Denial(503, UNAVAILABLE, "the keys of the issuer cannot be fetched; try again")
_REASONS: Final = (
    (jwt.ExpiredSignatureError, Denial(401, INVALID_TOKEN, "the token has expired")),
    (jwt.ImmatureSignatureError, Denial(401, INVALID_TOKEN, "the token is not valid yet")),
    (jwt.InvalidAudienceError, Denial(401, INVALID_TOKEN, "the token is for somebody else")),
    (jwt.MissingRequiredClaimError, Denial(401, INVALID_TOKEN, "the token lacks exp, iss, aud or sub")),
)
_REQUIRED: Final = ["exp", "iss", "aud", "sub"]
_ACCESS_TOKEN: Final = ("at+jwt", "application/at+jwt")


class _Head(msgspec.Struct):
    alg: str
    kid: str | None = None
    typ: str = ""
    crit: msgspec.Raw | None = None


class _Body(msgspec.Struct):
    iss: str


_head = msgspec.json.Decoder(_Head).decode
_body = msgspec.json.Decoder(_Body).decode


class _Issuer:
    """One issuer, its keys, and what its tokens must be made for."""

    def __init__(self, settings: IssuerSettings, keys: IssuerKeys, resource: str) -> None:
        self.settings = settings
        self.keys = keys
        self.audiences = (resource, *settings.audiences)


class JwtTokens:
    """Judges the JWTs of all configured issuers.

    Args:
        settings: whose tokens are good, for whom, and how far clocks may differ.
        fetcher: fetches keys.
        on_gone: called when keys are not published any more.
        wall_clock: seconds of the epoch.
    """

    def __init__(
        self,
        settings: AuthSettings,
        fetcher: Fetcher,
        on_gone: Callable[[], None],
        wall_clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._wall_clock = wall_clock
        self._now = asyncio.get_running_loop().time
        self._issuers = {
            each.issuer: _Issuer(each, IssuerKeys(each, settings, fetcher, on_gone), settings.resource)
            for each in settings.issuers
        }

    def judge(self, token: str) -> Grant | Denial | None:
        """Whether a token is good; None if the keys must be fetched to tell, which ``ask`` does."""
        found = self._recognised(token)
        if isinstance(found, Denial):
            return found
        issuer, head = found
        if self._now() >= issuer.keys.good_until:
            return None if issuer.keys.may_ask else NO_KEYS
        key = issuer.keys.find(head.kid, head.alg)
        if key is None:
            return None if issuer.keys.may_ask else UNKNOWN_KEY
        return self._verified(token, issuer, *key)

    async def ask(self, token: str) -> Grant | Denial:
        """Fetch the keys first."""
        found = self._recognised(token)
        if isinstance(found, Denial):
            return found
        fetched = await found[0].keys.fetch()
        verdict = self.judge(token) or UNKNOWN_KEY
        return NO_KEYS if verdict is UNKNOWN_KEY and not fetched else verdict

    def close(self) -> None:
        """Fetch no more keys."""
        for each in self._issuers.values():
            each.keys.close()

    def _recognised(self, token: str) -> tuple[_Issuer, _Head] | Denial:
        """The issuer that the token names, if it is one of ours; nothing of it is believed yet."""
        first, _, rest = token.partition(".")
        try:
            head, body = _head(_decoded(first)), _body(_decoded(rest.partition(".")[0]))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return NOT_VALID
        issuer = self._issuers.get(body.iss)
        if issuer is None:
            return UNKNOWN_ISSUER
        if head.alg not in issuer.settings.algorithms or head.crit is not None:
            return NOT_VALID
        if issuer.settings.typ_at_jwt and head.typ.lower() not in _ACCESS_TOKEN:
            return NO_ACCESS_TOKEN
        return issuer, head

    def _verified(self, token: str, issuer: _Issuer, key: Key, bound: jwt.PyJWK) -> Grant | Denial:
        settings = self._settings
        try:
            claims = jwt.decode(
                token,
                bound,
                algorithms=[bound.algorithm_name],
                audience=issuer.audiences,
                issuer=issuer.settings.issuer,
                leeway=settings.clock_skew_s,
                options={"require": _REQUIRED},
            )
            left_s = float(claims["exp"]) + settings.clock_skew_s - self._wall_clock()
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as fault:
            return next((denial for kind, denial in _REASONS if isinstance(fault, kind)), NOT_VALID)
        if left_s <= 0:
            return _REASONS[0][1]
        now = self._now()
        good_until = min(now + left_s, now + settings.verdict_max_age_s, issuer.keys.good_until)
        return grant_of(
            token, claims, issuer.settings.issuer, settings.resource, good_until=good_until, basis=key
        )


def grant_of(
    token: str, claims: Mapping[str, Any], issuer: str, resource: str, *, good_until: float, basis: object
) -> Grant:
    """What claims that are believed allow."""
    subject = str(claims.get("sub", ""))
    client = claims.get("client_id") or claims.get("azp") or subject
    expires_at = claims.get("exp")
    return Grant(
        token,
        client_id=str(client),
        subject=subject,
        issuer=issuer,
        scopes=_scopes(claims),
        expires_at=None if expires_at is None else float(expires_at),
        resource=resource,
        claims=claims,
        good_until=good_until,
        basis=basis,
    )


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """The scopes, where RFC 9068 has them, or where some issuers write them (``scp``)."""
    found = claims.get("scope", claims.get("scp", ""))
    if isinstance(found, str):
        return frozenset(found.split())
    return (
        frozenset(each for each in found if isinstance(each, str)) if isinstance(found, list) else frozenset()
    )


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as fault:
        raise ValueError("not base64url") from fault
