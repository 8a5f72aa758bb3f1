"""The public keys of one issuer: fetched ahead of need, kept for a bounded time, fetched again for a new one.

They are fetched at the start and then from time to time, never by a request that can do without. A token
with an unknown key has them fetched again, but only once in a while, so that invented keys do not become a
flood. While the issuer does not answer, the last keys hold until they are too old; then its tokens cannot be
judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import AllowedPublicKeys

from erlmcp.config.auth_settings import AuthSettings, IssuerSettings
from erlmcp.edge.auth.discovery import jwks_url
from erlmcp.edge.auth.fetching import Fetcher, FetchError
from erlmcp.telemetry.logs import Log

MAX_KEYS: Final = 256
"""Keys of one issuer; more are not looked at."""
MIN_RSA_BITS: Final = 2_048
RETRY_S: Final = 5.0
"""How soon an issuer that did not answer is asked again."""

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_FITTING: Final = {
    ("RSA", ""): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""What a kind of key can have signed with; secrets (``oct``) are not there, so they are never keys."""

log = Log(__name__)


class Key:
    """One public key. ``by_algorithm`` holds it bound to each algorithm that it may be used with."""

    __slots__ = ("by_algorithm", "data", "gone", "kid")

    def __init__(self, data: dict[str, Any], algorithms: Iterable[str]) -> None:
        self.data = data
        self.kid = str(data.get("kid", ""))
        self.gone = False
        """Set when the issuer does not publish it any more."""
        self.by_algorithm = {name: jwt.PyJWK(data, name) for name in algorithms}


class IssuerKeys:
    """What is known of the keys of one issuer.

    Args:
        issuer: whose keys.
        settings: how long they are kept.
        fetcher: fetches them.
        on_gone: called when keys that were there are there no more, or are too old.
    """

    def __init__(
        self, issuer: IssuerSettings, settings: AuthSettings, fetcher: Fetcher, on_gone: Callable[[], None]
    ) -> None:
        self._issuer = issuer
        self._settings = settings
        self._fetcher = fetcher
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._keys: list[Key] = []
        self._url = issuer.jwks_url
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._fetching: asyncio.Task[bool] | None = None
        self._refreshing = self._loop.create_task(self._refresh_for_ever())

    @property
    def good_until(self) -> float:
        """Until when the keys hold, seconds of the loop's clock; in the past when they do not."""
        return 0.0 if self._fetched_at is None else self._fetched_at + self._settings.keys_max_age_s

    @property
    def may_ask(self) -> bool:
        """Whether a token with an unknown key is reason enough to fetch now."""
        return (
            self._fetching is not None
            or self._asked_at is None
            or self._loop.time() - self._asked_at >= self._settings.keys_cooldown_s
        )

    def find(self, kid: str | None, algorithm: str) -> tuple[Key, jwt.PyJWK] | None:
        """The key that a token names; for one that names none, the only one that can have signed it."""
        fitting = [
            each for each in self._keys if algorithm in each.by_algorithm and (kid is None or each.kid == kid)
        ]
        return (fitting[0], fitting[0].by_algorithm[algorithm]) if len(fitting) == 1 else None

    async def fetch(self) -> bool:
        """Fetch the keys now; whoever asks meanwhile waits for the same answer. Whether it succeeded."""
        if self._fetching is None:
            self._asked_at = self._loop.time()
            self._fetching = self._loop.create_task(self._fetch())
        return await asyncio.shield(self._fetching)

    async def _fetch(self) -> bool:
        try:
            if not self._url:
                self._url = await jwks_url(self._fetcher, self._issuer.issuer)
            found = (await self._fetcher.json(self._url)).get("keys")
            if not isinstance(found, list):
                raise FetchError(f"no keys at {self._url}")
        except FetchError as fault:
            self._tell_failed(fault)
            self._url = self._issuer.jwks_url  # the metadata may have changed
            return False
        finally:
            self._fetching = None
        self._fetched_at = self._loop.time()
        self._take(found)
        return True

    def _tell_failed(self, fault: FetchError) -> None:
        log.error("auth.keys-not-fetched", issuer=self._issuer.issuer, fault=str(fault))

    def _take(self, found: list[Any]) -> None:
        """Take over what the issuer publishes; a key that stays is the same object."""
        kept: list[Key] = []
        for data in found[:MAX_KEYS]:
            same = next((each for each in self._keys if each.data == data), None)
            key = same or usable(data, self._issuer.algorithms)
            if key is not None:
                kept.append(key)
        gone = [each for each in self._keys if each not in kept]
        came = [each for each in kept if each not in self._keys]
        self._keys = kept
        for each in gone:
            each.gone = True
        if gone or came:
            log.info(
                "auth.keys-changed", issuer=self._issuer.issuer, keys=len(kept), new=len(came), gone=len(gone)
            )
        if gone:
            self._on_gone()

    async def _refresh_for_ever(self) -> None:
        while True:
            fetched = await self.fetch()
            if self._loop.time() >= self.good_until:
                self._give_up()
            await asyncio.sleep(
                self._settings.keys_refresh_s if fetched else min(RETRY_S, self._settings.keys_refresh_s)
            )

    def _give_up(self) -> None:
        """The keys are too old: what was found good by them is good no more."""
        gone, self._keys = self._keys, []
        for each in gone:
            each.gone = True
        if gone:
            log.error(
                "auth.keys-too-old", issuer=self._issuer.issuer, max_age_s=self._settings.keys_max_age_s
            )
            self._on_gone()

    def close(self) -> None:
        """Fetch no more."""
        self._refreshing.cancel()
        if self._fetching is not None:
            self._fetching.cancel()


def usable(data: Any, algorithms: Iterable[str]) -> Key | None:
    """A published key, if signatures of access tokens can be checked with it; any other is passed over.

    Args:
        data: the key as it is published (RFC 7517).
        algorithms: those that are taken of this issuer.
    """
    try:
        if data.get("use", "sig") != "sig" or "verify" not in data.get("key_ops", ["verify"]):
            return None
        fitting = _FITTING.get((data.get("kty"), data.get("crv", "")), ())
        taken = [name for name in fitting if name in algorithms and data.get("alg", name) == name]
        key = Key(data, taken)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return key if taken and all(_is_strong(each.key) for each in key.by_algorithm.values()) else None


def _is_strong(key: AllowedPublicKeys) -> bool:
    return not isinstance(key, RSAPublicKey) or key.key_size >= MIN_RSA_BITS
