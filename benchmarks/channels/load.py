"""Runs the load generator, pinned to a core of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import msgspec
from benchmarks.channels.client import Counted, Order
from benchmarks.http.load import LOAD_CORE, Loaded, LoadError
from benchmarks.http.serving import ROOT

_SLACK_S: Final = 30


def run(order: Order) -> Loaded:
    """Load a server.

    Raises:
        LoadError: the load generator failed, or nothing was answered.
    """
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "benchmarks.channels.client"]
    ran = subprocess.run(
        command,
        input=msgspec.json.encode(order),
        capture_output=True,
        cwd=ROOT,
        check=False,
        timeout=order.duration_s + _SLACK_S,
    )
    if ran.returncode:
        raise LoadError(f"the load generator failed: {ran.stderr[-400:].decode('utf-8', 'replace')}")
    counted = msgspec.json.decode(ran.stdout, type=Counted)
    if not counted.requests:
        raise LoadError("not one request was answered")
    return Loaded(
        counted.requests,
        counted.elapsed_s,
        counted.p50_ms,
        counted.p99_ms,
        counted.bytes / counted.requests,
        counted.wrong + counted.late,
    )
