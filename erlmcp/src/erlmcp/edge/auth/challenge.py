"""What a client is told whose token does not do: WWW-Authenticate of RFC 6750 and RFC 9728, and a body."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from erlmcp.protocol.grants import Denial


def challenge(denial: Denial, *, metadata_url: str = "", scopes: Sequence[str] = ()) -> str:
    """The value of WWW-Authenticate.

    Args:
        denial: why the request may not go on.
        metadata_url: where a client reads who issues tokens (RFC 9728); empty where nobody does.
        scopes: what every token needs; a denial that names scopes itself comes first.
    """
    asked = denial.scopes or scopes
    parts = [
        ("realm", "" if metadata_url else "mcp"),
        ("resource_metadata", metadata_url),
        ("scope", " ".join(asked)),
        ("error", denial.error),
        ("error_description", denial.description if denial.error else ""),
    ]
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts if value)


def body(denial: Denial) -> bytes:
    """The same for people, as RFC 6749 writes its errors."""
    return msgspec.json.encode(
        {"error": denial.error or "invalid_token", "error_description": denial.description}
    )
