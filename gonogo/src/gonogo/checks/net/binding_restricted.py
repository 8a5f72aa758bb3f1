"""Every listener is bound to loopback, as the service says and as a connection from outside shows."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.prod.servers_healthy import is_loopback
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

CONNECT_TIMEOUT_S = 1.0
CONTROL_MODE = "0600"


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Read the listener table, and try each loopback port from an address that is not loopback."""
    listeners = await ctx.production.admin.listeners()
    outside = _outside_address()
    attempts = []
    for listener in listeners:
        _, port = _host_and_port(listener)
        if port and outside:
            attempts.append(
                {"name": listener.get("name"), "from": outside, "connected": await _connects(outside, port)}
            )
    facts = {"listeners": listeners, "outside_address": outside, "attempts": attempts}
    return [json_reading(f"{ctx.environment.admin_url}/listeners and attempts from outside", facts)]


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """No listener that is not loopback, none that answers elsewhere, and a control socket of mode 0600."""
    facts, subject = facts_of(readings), ctx.environment.admin_url
    if not facts["listeners"]:
        return Ruling(Answer.UNKNOWN, subject, "the listener table is empty")
    for listener in facts["listeners"]:
        name, address = str(listener.get("name")), str(listener.get("address"))
        host, port = _host_and_port(listener)
        if port is None and listener.get("mode") != CONTROL_MODE:
            return Ruling(
                Answer.FAIL,
                address,
                f"the socket of {name} has mode {listener.get('mode')}; expected {CONTROL_MODE}",
                "let erlmcp make the socket itself, with --control PATH",
            )
        if port is not None and not is_loopback(host):
            return Ruling(
                Answer.FAIL,
                address,
                f"{name} listens on {address}; expected loopback",
                "bind 127.0.0.1 and let a proxy with TLS face the network",
            )
    reached = [attempt for attempt in facts["attempts"] if attempt["connected"]]
    if reached:
        return Ruling(
            Answer.FAIL,
            str(reached[0]["name"]),
            f"{len(reached)} loopback ports answer at {reached[0]['from']}; expected 0",
            "see what forwards these ports",
        )
    tried = f"{len(facts['attempts'])} attempts from {facts['outside_address']} refused"
    if not facts["outside_address"]:
        tried = "this host has no other address to try from"
    return Ruling(Answer.PASS, subject, f"{len(facts['listeners'])} listeners on loopback only; {tried}")


def _host_and_port(listener: dict[str, Any] | Any) -> tuple[str, int | None]:
    host, _, port = str(listener.get("address", "")).rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else ("", None)


def _outside_address() -> str | None:
    """An own address that is not loopback. Connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
            address = str(sock.getsockname()[0])
        except OSError:
            return None
    return None if is_loopback(address) else address


async def _connects(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


CHECK = Check(
    id="net.binding-restricted",
    boxes=("net.binding-restricted",),
    needs=frozenset({"admin"}),
    probe=probe,
    judge=judge,
)
