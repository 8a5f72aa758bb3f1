"""Who sends a request, as far as its credential tells: to bind things to their creator, never to let in.

Nothing is verified here. Whoever is in front (a proxy, the guest) has let the request pass or has not; what
counts is that another credential is another principal. The claims of a JWT outlive its renewal, so they are
taken where they can be read; of any other credential the digest is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

_JWT_PARTS: Final = 3


class _Claims(msgspec.Struct):
    iss: str
    sub: str
    client_id: str = ""
    azp: str = ""


_claims = msgspec.json.Decoder(_Claims)


def principal_of(headers: Mapping[str, str] | None) -> str:
    """The principal of a request; empty without a credential.

    Args:
        headers: of the request, or of the one that opened its channel; None where there are none.
    """
    credential = "" if headers is None else headers.get("authorization", "")
    if not credential:
        return ""
    scheme, _, token = credential.partition(" ")
    claims = _claims_in(token.strip()) if scheme.lower() == "bearer" else None
    if claims is not None:
        return "\n".join(("jwt", claims.iss, claims.sub, claims.client_id or claims.azp))
    return "digest\n" + hashlib.sha256(credential.encode("utf-8", "surrogatepass")).hexdigest()


def _claims_in(token: str) -> _Claims | None:
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        return None
    try:
        padding = "=" * (-len(parts[1]) % 4)
        return _claims.decode(base64.urlsafe_b64decode(parts[1] + padding))
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
