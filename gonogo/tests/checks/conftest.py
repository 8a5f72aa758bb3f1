"""A real erlmcp with notes in two generations, and a proxy before it that breaks exactly one thing.

Positive tests look at the real service; each negative control looks at the same service through the proxy.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from gonogo.adapters.scratch import CANDIDATE, _free_addresses

sys.path.insert(0, str(Path(__file__).parent))

from check_world import (
    ERLMCP,
    NOTES,
    START_TIMEOUT_S,
    Stack,
    StagedProvider,
    World,
    asking,
    proxied,
    settings_for,
    until_ready,
)


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """One service for all tests of this folder; ended by its pid."""
    folder = tmp_path_factory.mktemp("stack")
    http, admin = _free_addresses(2)
    env = {**os.environ, "NOTES_RELEASE": "1.0.0", "NOTES_DATABASE": str(folder / "notes.sqlite")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [ERLMCP, "serve", "notes.server:server", "--http", http, "--admin", admin,
             "--control", folder / "control.sock", "--version-label", "1.0.0"],
            cwd=NOTES / "src", env=env, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until_ready(f"http://{admin}/ready", process, folder / "log")
        spec = {
            "target": "notes.server:server",
            "version": "1.1.0",
            "python": "",
            "cwd": str(NOTES / "src"),
            "env": {"NOTES_RELEASE": "1.1.0", "NOTES_DATABASE": str(folder / "notes.sqlite")},
            "config": {"log.level": "info"},
            "workers": None,
        }
        with httpx2.Client(
            transport=httpx2.HTTPTransport(uds=str(folder / "control.sock")), timeout=START_TIMEOUT_S
        ) as client:
            staged = client.put(f"http://control/generations/{CANDIDATE}", json=spec)
            assert staged.status_code == 201, staged.text
            private_url = staged.json()["private_url"]
        yield Stack(
            f"http://{http}", f"http://{admin}", str(folder / "control.sock"), private_url, process.pid, spec
        )
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)


@pytest.fixture
def ask(tmp_path):
    """Run checks through the real runner against a ``World``; gives findings by id."""

    def run(world, *ids, only=True):
        return asyncio.run(asking(world, tmp_path / "state", *ids, only=only))

    return run


@pytest.fixture
def candidate_world(stack, tmp_path):
    """The candidate on the running service, optionally behind a proxy."""

    def world(candidate_url=None, **changes):
        return World(
            repo=tmp_path,
            settings=settings_for(base_url=stack.base_url, admin_url=stack.admin_url),
            scratch=lambda: StagedProvider(stack, candidate_url=candidate_url),
            **changes,
        )

    return world


@pytest.fixture
def through(candidate_world, stack, tmp_path):
    """The answer of one check to the candidate behind a proxy that breaks something."""

    def answer(check_id, tamper, **changes):
        async def run():
            async with proxied(stack.candidate_url, tamper) as url:
                return (await asking(candidate_world(url, **changes), tmp_path / "state", check_id))[check_id]

        return asyncio.run(run())

    return answer


@pytest.fixture
def production_through(stack, tmp_path):
    """The answer of one check to production whose admin listener is behind a proxy."""

    def answer(check_id, tamper, repo=None, **changes):
        async def run():
            async with proxied(stack.admin_url, tamper) as url:
                settings = settings_for(base_url=stack.base_url, admin_url=url)
                world = World(repo=repo or tmp_path, settings=settings, **changes)
                return (await asking(world, tmp_path / "state", check_id))[check_id]

        return asyncio.run(run())

    return answer
