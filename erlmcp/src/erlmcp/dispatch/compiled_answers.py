"""Results of tools as bytes, without the models that the kernel builds for each of them.

The kernel shapes a result by the revision that the client speaks: members come and go, and the modern era
gets its stamp. For one revision that shape is the same for each result that holds text and structured
content only. It is taken from the kernel's own functions, by shaping an example and cutting it where its
text and its structured content stand. Whatever is not of that kind is for the kernel to write.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from mcp.server.lowlevel.server import Server
from mcp_types import SERVER_INFO_META_KEY, CallToolResult, TextContent
from mcp_types.methods import serialize_server_result
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

_TEXT: Final = "erlmcp:text"
_STRUCTURE: Final = {"erlmcp:structure": 0}
encode: Final = msgspec.json.Encoder().encode


class Shape:
    """How one kind of result is written in one revision: the bytes around what differs."""

    __slots__ = ("_after", "_before", "_between", "_block", "_form", "_structured")

    def __init__(
        self,
        server: Server[Any],
        version: str,
        *,
        structured: bool,
        is_error: bool,
        meta: dict[str, Any] | None = None,
    ) -> None:
        example = CallToolResult(
            content=[TextContent(type="text", text=_TEXT)],
            structured_content=_STRUCTURE if structured else None,
            is_error=is_error,
            _meta=meta,
        )
        shaped = serialize_server_result(
            "tools/call", version, example.model_dump(by_alias=True, mode="json", exclude_none=True)
        )
        if version in MODERN_PROTOCOL_VERSIONS:
            shaped["_meta"] = {**(meta or {}), SERVER_INFO_META_KEY: server.server_info_stamp}
        block = encode(shaped["content"][0])
        start, end = block.split(encode(_TEXT))
        self._block = start + b"%b" + end
        before, after = encode(shaped).split(block)
        self._structured = structured and encode(_STRUCTURE) in after
        between = b""
        if self._structured:
            between, after = after.split(encode(_STRUCTURE))
        self._before = b',"result":' + before
        self._between = between
        self._after = after + b"}"
        pieces = [b'{"jsonrpc":"2.0","id":', self._before + start, end + between, self._after]
        self._form = b"%b".join(piece.replace(b"%", b"%%") for piece in pieces)
        """The answer with one text: id, text and structure stand between its pieces."""

    def of_text(self, request_id: int | str, text: bytes, structure: bytes) -> bytes:
        """The answer with one text, which is a JSON string already, and a structure, which is JSON."""
        name = b"%d" % request_id if type(request_id) is int else encode(request_id)
        return self._form % (name, text, structure if self._structured else b"")

    def of_texts(self, request_id: int | str, texts: list[str], structure: Any) -> bytes:
        """The answer with any number of texts."""
        blocks = b",".join([self._block % encode(text) for text in texts])
        start = opening(request_id) + self._before + blocks
        if self._structured:
            return start + self._between + encode(structure) + self._after
        return start + self._after


def opening(request_id: int | str) -> bytes:
    """The beginning of any answer."""
    if type(request_id) is int:
        return b'{"jsonrpc":"2.0","id":%d' % request_id
    return b'{"jsonrpc":"2.0","id":' + encode(request_id)


class Shapes:
    """The shapes of one revision."""

    __slots__ = ("failed", "plain", "structured")

    def __init__(self, server: Server[Any], version: str) -> None:
        self.plain = Shape(server, version, structured=False, is_error=False)
        self.structured = Shape(server, version, structured=True, is_error=False)
        self.failed = Shape(server, version, structured=False, is_error=True)


def converted(request_id: int | str, result: Any, shapes: Shapes) -> bytes | None:
    """The answer for a result that the SDK has converted from what a tool returned; None if it is none of
    the kind that has a shape. ``result`` is not one that the tool made itself: its structure is JSON."""
    if type(result) is not CallToolResult or result.is_error or result.meta is not None:
        return None
    texts, structure = texts_of(result.content), result.structured_content
    if texts is None:
        return None
    if structure is None:
        return shapes.plain.of_texts(request_id, texts, None)
    if type(structure) is not dict:
        return None
    return shapes.structured.of_texts(request_id, texts, structure)


def texts_of(content: list[Any]) -> list[str] | None:
    """The texts of content that is nothing but text; else None."""
    texts: list[str] = []
    for block in content:
        if type(block) is not TextContent or block.annotations is not None or block.meta is not None:
            return None
        texts.append(block.text)
    return texts
