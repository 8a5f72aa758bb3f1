"""Runs legs of the suite against a server that is up, after making sure that it is one."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from conformance.fixtures import missing
from conformance.installing import Tools
from conformance.legs import Allowance, Leg
from conformance.results import Score, judge, read_checks

_LEG_TIMEOUT_S: Final = 1_200
_PROBE_TIMEOUT_S: Final = 10
_REVISION: Final = "2026-07-28"
_META: Final = "io.modelcontextprotocol/"
_MOST_BYTES: Final = 4_000_000


class NoServerError(Exception):
    """Nothing that speaks the protocol answers at the address."""


class LacksFixturesError(Exception):
    """The server does not offer what the suite needs, so its marks would mean nothing."""


def probe(url: str) -> str:
    """The name of the server at an address.

    Raises:
        NoServerError: nobody answers, or something that is no MCP server does.
    """
    meta = _ask(url, "server/discover").get("_meta")
    info = meta.get(f"{_META}serverInfo") if isinstance(meta, dict) else None
    if not isinstance(info, dict) or not isinstance(info.get("name"), str):
        raise NoServerError(f"no MCP server answers at {url}: it does not say who it is")
    return str(info["name"])


def require_fixtures(url: str) -> None:
    """Make sure that the server offers every fixture.

    Raises:
        NoServerError: as ``probe``.
        LacksFixturesError: it lacks some; the sentence names them.
    """
    probe(url)
    lacking = missing(lambda method: _ask(url, method))
    if lacking:
        raise LacksFixturesError(f"the server at {url} lacks {len(lacking)} fixtures: {', '.join(lacking)}")


def _ask(url: str, method: str) -> dict[str, Any]:
    if not url.startswith(("http://localhost", "http://127.0.0.1", "http://[::1]")):
        raise NoServerError(f"the suite tests servers on this machine, got {url}")
    meta = {f"{_META}protocolVersion": _REVISION, f"{_META}clientCapabilities": {}}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta}}
    fields = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": _REVISION,
        "mcp-method": method,
    }
    request = urllib.request.Request(url, json.dumps(message).encode(), fields)  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=_PROBE_TIMEOUT_S) as answer:  # noqa: S310 - as above
            body = answer.read(_MOST_BYTES)
        result = json.loads(body[body.index(b"{") :])["result"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        reason = f"{type(fault).__name__}: {fault}"
        raise NoServerError(f"no MCP server answers {method} at {url}: {reason}") from fault
    if not isinstance(result, dict):
        raise NoServerError(f"no MCP server answers {method} at {url}: its result is no object")
    return result


def run_leg(leg: Leg, url: str, tools: Tools, folder: Path, allowances: Iterable[Allowance]) -> Score:
    """Run one leg; what it wrote stays in the folder, its words in ``<leg>.log`` beside it.

    Raises:
        NoServerError: the server was not there before the leg, or is gone after it.
        subprocess.TimeoutExpired: the leg took longer than 20 minutes.
    """
    probe(url)
    out = folder / leg.name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    program = (str(tools.node), str(tools.suites[leg.release]))
    command = [*program, "server", "--url", url, *leg.arguments, "-o", str(out)]
    with (folder / f"{leg.name}.log").open("wb") as log:
        subprocess.run(command, stdout=log, stderr=log, check=False, timeout=_LEG_TIMEOUT_S)
    probe(url)
    return judge(leg, read_checks(out), allowances)
