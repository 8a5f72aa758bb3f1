"""A plugin of pytest that writes which behaviours the collected tests claim. Used in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from book import NoCellError, cell_of


def pytest_addoption(parser: Any) -> None:
    """Where to write."""
    parser.addoption("--claims-to", required=True)


def pytest_collection_finish(session: Any) -> None:
    """Everything is collected and deselected: what is left would run."""
    claims, faults = [], []
    for item in session.items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        for marker in item.iter_markers("behaviour"):
            try:
                cell = cell_of(parameters, marker.kwargs)
            except NoCellError as fault:
                faults.append(f"{item.nodeid}: {fault}")
            else:
                claims.append([marker.args[0], cell, item.nodeid])
    found = {"claims": claims, "faults": faults}
    Path(session.config.getoption("--claims-to")).write_text(json.dumps(found))
