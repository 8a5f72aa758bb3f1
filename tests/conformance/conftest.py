"""Servers to be judged: the fixtures on the SDK's own application, and one that lacks them."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # conformance is a program of the repository, not an installed package

HOST = "127.0.0.1"
START_TIMEOUT_S = 20


@contextmanager
def serving(app):
    """Serve an application in a thread; gives the address of its endpoint."""
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            started.set()

    server = Server(uvicorn.Config(app, host=HOST, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(START_TIMEOUT_S)
    try:
        yield f"http://{HOST}:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(START_TIMEOUT_S)


@pytest.fixture
def serve():
    return serving
