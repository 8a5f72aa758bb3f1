"""Guests in every shape that people have, and a package that installs a command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

GUESTS = Path(__file__).parent / "guests"
COMMAND = "mcp-server-of-the-tests"


@pytest.fixture
def guests():
    return GUESTS


@pytest.fixture
def site(tmp_path):
    """A folder like site-packages, with distributions that install commands."""
    info = tmp_path / "site" / "mcp_server_of_the_tests-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mcp-server-of-the-tests\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[console_scripts]\n{COMMAND} = served_by_the_tests:main\nmcp-old = for_mcp_1:main\n"
        "mcp-needs = served_by_the_tests:needs\nmcp-group = served_by_the_tests:group\n"
    )
    (info.parent / "served_by_the_tests.py").write_text(SERVED)
    return info.parent


@pytest.fixture
def process_state(monkeypatch):
    """What loading a guest changes in the process, put back."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        if name.startswith("erlmcp_guest_") or name in {path.stem for path in GUESTS.glob("*.py")} | {
            "served_by_the_tests"
        }:
            del sys.modules[name]


SERVED = """
import argparse, asyncio, os
import typer

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repository", required=True)
    asyncio.run(serve(parser.parse_args().repository))

async def serve(repository):
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("git")

    @server.tool()
    def hello() -> str:
        return f"hello from {repository}{os.environ.get('SIGN', '')}"

    await server.run_stdio_async()

def needs(folder):
    raise AssertionError("never called")

group = typer.Typer()

@group.command()
def only(name: str = "a group"):
    asyncio.run(serve(name))
"""
