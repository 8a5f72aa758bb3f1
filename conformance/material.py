"""What the fixtures serve: the texts, bytes and schemas that the official suite looks for, word by word.

Both fixture servers take their content from here, so that a difference between them is one of the SDKs.
The questions that they ask their clients are in ``questions``.
"""

from __future__ import annotations

import base64
import io
import struct
import wave
import zlib
from typing import Any, Final

NAME: Final = "conformance-fixtures"
VERSION: Final = "1.0.0"

SIMPLE_TEXT: Final = "This is a simple text response for testing."
MIXED_TEXT: Final = "Multiple content types test:"
EMBEDDED_URI: Final = "test://embedded-resource"
EMBEDDED_TEXT: Final = "This is an embedded resource content."
MIXED_URI: Final = "test://mixed-content-resource"
MIXED_JSON: Final = '{"test":"data","value":123}'
DELIBERATE_ERROR: Final = "This tool intentionally returns an error for testing"

STATIC_TEXT_URI: Final = "test://static-text"
STATIC_TEXT: Final = "This is the content of the static text resource."
STATIC_BINARY_URI: Final = "test://static-binary"
WATCHED_URI: Final = "test://watched-resource"
WATCHED_TEXT: Final = "This resource can be subscribed to."
TEMPLATE_URI: Final = "test://template/{id}/data"

PROMPT_TEXT: Final = "This is a simple prompt for testing."
PROMPT_RESOURCE_TEXT: Final = "Embedded resource content for testing."
PROMPT_RESOURCE_ASK: Final = "Please process the embedded resource above."
PROMPT_IMAGE_ASK: Final = "Please analyze the image above."

TASKS: Final = "io.modelcontextprotocol/tasks"
TASK_OPTIONAL: Final[dict[str, Any]] = {"erlmcp/task": "optional"}
TASK_REQUIRED: Final[dict[str, Any]] = {"erlmcp/task": "required"}
"""How a tool says that it may, or must, run as a task: the SDK has no word for it, hence `_meta`."""

STEP_S: Final = 0.05
RECONNECT_AFTER_S: Final = 0.2
FAILING_JOB_S: Final = 1.0
LONGEST_SLEEP_S: Final = 60.0

SCHEMA_2020_12: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def template_text(item: str) -> str:
    """The JSON behind one address of the template."""
    return f'{{"id":"{item}","templateTest":true,"data":"Data for ID: {item}"}}'


def red_dot_png() -> bytes:
    """An image of one red pixel."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    row = zlib.compress(b"\x00\xff\x00\x00")
    chunks = ((b"IHDR", header), (b"IDAT", row), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def silent_wav() -> bytes:
    """A millisecond of silence."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\x00\x00" * 8)
    return sound.getvalue()


def as_base64(data: bytes) -> str:
    """Bytes in the form that content blocks carry."""
    return base64.b64encode(data).decode("ascii")


PNG: Final = red_dot_png()
WAV: Final = silent_wav()
