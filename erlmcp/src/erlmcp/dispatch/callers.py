"""Who calls, as guests see it: the access token in the places where the SDK and FastMCP look for it.

Tokens are judged in ``erlmcp.edge.auth``, and nothing is judged here. The SDK binds the state of calls that
ask for input to the token that it finds.
"""

from __future__ import annotations

from typing import Any

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.authentication import AuthCredentials

from erlmcp.protocol.grants import Grant


def enter(grant: Grant | None) -> None:
    """From here on, in this task and in those that it starts, the caller is the one of this grant."""
    if grant is not None:
        auth_context_var.set(_user_of(grant))


def scope_of(grant: Grant | None) -> dict[str, Any]:
    """What an HTTP request's scope says of its caller."""
    if grant is None:
        return {}
    return {"user": _user_of(grant), "auth": AuthCredentials(sorted(grant.scopes))}


def _user_of(grant: Grant) -> AuthenticatedUser:
    if grant.seen_by_guest is None:
        claims = {**grant.claims, **({"iss": grant.issuer} if grant.issuer else {})}
        token = AccessToken(
            token=grant.token,
            client_id=grant.client_id,
            scopes=sorted(grant.scopes),
            expires_at=None if grant.expires_at is None else int(grant.expires_at),
            resource=grant.resource or None,
            subject=grant.subject or None,
            claims=claims or None,
        )
        grant.seen_by_guest = AuthenticatedUser(token)
    user: AuthenticatedUser = grant.seen_by_guest
    return user
