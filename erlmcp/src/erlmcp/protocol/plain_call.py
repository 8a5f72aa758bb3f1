"""A ``tools/call`` with a name, arguments and an envelope and nothing else, decoded in one pass.

Whatever else a request may be, also a malformed one, is no plain call: it is then decoded by
``erlmcp.protocol.jsonrpc``, which also knows what to say about it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from erlmcp.protocol.jsonrpc import MAX_SAFE_ID, RequestId

NO_META = msgspec.Raw(b"")


class PlainParams(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Name and arguments of the call; the envelope as the bytes that came, which nobody has looked at."""

    name: str
    given: dict[str, Any] | msgspec.UnsetType = msgspec.field(name="arguments", default=msgspec.UNSET)
    meta: msgspec.Raw = msgspec.field(name="_meta", default=NO_META)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments; none is the same as no member."""
        return self.given or {}

    def as_params(self) -> dict[str, Any]:
        """The parameters as any request has them, with the envelope decoded."""
        params: dict[str, Any] = {"name": self.name}
        if self.given is not msgspec.UNSET:
            params["arguments"] = self.given
        if self.meta:
            params["_meta"] = msgspec.json.decode(self.meta)
        return params


class PlainCall(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The request."""

    jsonrpc: Literal["2.0"]
    id: RequestId
    method: Literal["tools/call"]
    params: PlainParams


_decode = msgspec.json.Decoder(PlainCall).decode


def decode_plain_call(body: bytes, *, max_depth: int) -> PlainCall | None:
    """The call; None if the body is anything else, or if it takes a closer look to tell."""
    if body.count(b"{") + body.count(b"[") > max_depth:
        return None
    try:
        call = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if type(call.id) is int and not -MAX_SAFE_ID <= call.id <= MAX_SAFE_ID:
        return None
    return call
