"""Where an access token stands in a request, and where it must not: RFC 6750, the header field only.

It reads and judges the form. Whether a token is good is ``erlmcp.edge.auth.gate``.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

from erlmcp.protocol.grants import INVALID_REQUEST, Denial
from erlmcp.protocol.headers import Headers

MAX_TOKEN_CHARS: Final = 8_192
"""A longer token is refused before anybody looks into it."""

_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
_QUERY_NAME: Final = "access_token"

NO_TOKEN: Final = Denial(401, "", "an access token is needed")
REPEATED: Final = Denial(400, INVALID_REQUEST, "the Authorization field must come once")
IN_QUERY: Final = Denial(
    400, INVALID_REQUEST, "a token in the query is never taken: send it in Authorization"
)
MALFORMED: Final = Denial(400, INVALID_REQUEST, "Authorization must be: Bearer, a space, the token")
TOO_LONG: Final = Denial(400, INVALID_REQUEST, f"the token is longer than {MAX_TOKEN_CHARS} characters")


def token_in(headers: Headers, target: bytes) -> str | Denial:
    """The token of a request, or why there is none.

    Args:
        headers: of the request.
        target: its target with the query, which is looked at only to refuse a token in it.
    """
    if b"?" in target and _is_in_query(target):
        return IN_QUERY
    credential = headers.raw(b"authorization")
    if credential is None:
        return NO_TOKEN
    if b"authorization" in headers.repeated:
        return REPEATED
    return token_of(credential)


def token_of(credential: bytes) -> str | Denial:
    """The token in the value of one Authorization field; another scheme counts as no credential."""
    scheme, _, token = credential.partition(b" ")
    if scheme.lower() != b"bearer":
        return NO_TOKEN
    token = token.strip(b" ")
    if len(token) > MAX_TOKEN_CHARS:
        return TOO_LONG
    if not _TOKEN.fullmatch(token):
        return MALFORMED
    return token.decode("ascii")


def _is_in_query(target: bytes) -> bool:
    query = target.partition(b"?")[2].decode("latin-1")
    return any(name == _QUERY_NAME for name, _ in parse_qsl(query, keep_blank_values=True))
