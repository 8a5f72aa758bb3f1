"""What a checked access token allows, and what a client is told whose token does not do. Data only.

Tokens are checked in ``erlmcp.edge.auth``; what is found travels with the request from there to the guest. A
principal is who a token stands for: issuer, subject and client together (RFC 9068).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

INVALID_REQUEST: Final = "invalid_request"
INVALID_TOKEN: Final = "invalid_token"  # noqa: S105 - a word of RFC 6750
INSUFFICIENT_SCOPE: Final = "insufficient_scope"
UNAVAILABLE: Final = "temporarily_unavailable"
"""Of RFC 6749: nobody can tell now whether the token is good."""


class Grant:
    """One access token that was found good.

    Attributes:
        token: as the client sent it; guests may pass it to their own token exchange.
        client_id: the client it was issued to; for a static token its name.
        subject: on whose behalf; empty if nobody says so.
        issuer: who issued it; empty for a static token.
        scopes: what it is good for.
        expires_at: when it ends, seconds of the epoch; None if it does not by itself.
        resource: for what it was issued (RFC 8707); empty for a static token.
        claims: what else the issuer says.
        good_until: when it must be looked at again, seconds of the event loop's clock. It never lies beyond
            the end of the token, and is moved to the past when the token is revoked.
        basis: what it was found good by (a line of a file, a key); when that goes, the grant goes.
        seen_by_guest: what ``erlmcp.dispatch`` makes of it, kept here so that it is made once.
    """

    __slots__ = (
        "__weakref__",
        "basis",
        "claims",
        "client_id",
        "expires_at",
        "good_until",
        "issuer",
        "principal",
        "resource",
        "scopes",
        "seen_by_guest",
        "subject",
        "token",
    )

    def __init__(
        self,
        token: str,
        *,
        client_id: str,
        good_until: float,
        basis: object = None,
        subject: str = "",
        issuer: str = "",
        scopes: frozenset[str] = frozenset(),
        expires_at: float | None = None,
        resource: str = "",
        claims: Mapping[str, Any] | None = None,
    ) -> None:
        self.token = token
        self.client_id = client_id
        self.subject = subject
        self.issuer = issuer
        self.scopes = scopes
        self.expires_at = expires_at
        self.resource = resource
        self.claims = claims or {}
        self.good_until = good_until
        self.basis = basis
        self.principal = f"grant\n{issuer}\n{subject}\n{client_id}"
        self.seen_by_guest: Any = None

    def __repr__(self) -> str:
        """Without the token: this may stand in a log."""
        return f"Grant(client_id={self.client_id!r}, issuer={self.issuer!r})"


class Denial(msgspec.Struct, frozen=True):
    """Why a request may not go on (RFC 6750, 3.1).

    Attributes:
        status: 400, 401, 403 or 503.
        error: the code of RFC 6750; empty where no token was presented.
        description: for the developer of the client; never holds anything of the token.
        scopes: what the request needs; empty where that is not the reason.
    """

    status: int
    error: str
    description: str
    scopes: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """How the meter counts it."""
        return self.error.replace("_", "-") or "no-token"

    @property
    def is_offence(self) -> bool:
        """Whether a client that goes on so is guessing, and not only one that has no token yet or too few
        scopes."""
        return self.error in (INVALID_TOKEN, INVALID_REQUEST)
