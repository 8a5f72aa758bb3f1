"""A guest that tells whatever it is told, on every way that ends in a log."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings

from mcp.server import MCPServer

if broken := os.environ.get("GUEST_BROKEN"):
    sys.stdout.write(f"connecting: {broken}\n")
    raise RuntimeError(f"cannot start: {broken}")

server = MCPServer("leaky", version=os.environ.get("GUEST_VERSION", "0"))
logger = logging.getLogger("leaky")


def _tell(text: str, how: str) -> str:
    match how:
        case "message":
            logger.info("told %s", text)
        case "field":
            logger.warning("told", extra={"erlmcp_fields": {"told": {"deeply": [text]}}})
        case "exception":
            try:
                raise LookupError(text)
            except LookupError:
                logger.exception("failed")
        case "name":
            logging.getLogger(text).error("told by another logger")
        case "thread":
            thread = threading.Thread(target=logger.error, args=("told %r", {"text": text}))
            thread.start()
            thread.join()
        case "warning":
            warnings.warn(text, stacklevel=1)
        case "stdout":
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        case "stderr":
            sys.stderr.write(text + "\n")
        case "raise":
            raise RuntimeError(text)
    return "told"


@server.tool()
def tell(text: str, how: str) -> str:
    return _tell(text, how)


@server.tool()
async def tell_at_once(text: str, how: str) -> str:
    return _tell(text, how)


@server.tool()
def declare(ssn: str, how: str) -> str:
    return _tell(ssn, how)


@server.tool()
async def declare_at_once(ssn: str, how: str) -> str:
    return _tell(ssn, how)
