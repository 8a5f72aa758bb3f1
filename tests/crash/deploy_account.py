"""Counts what one deployment did, from what it left behind, and says what happened twice or never.

Pure: the journal's rows, the announcements and the server's log come in as they stand on the disk, read
without the product's own code.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STEPS = ("announce", "snapshot", "stage", "verify", "smoke", "switch", "drain", "watch", "done")

Row = tuple[str, Mapping[str, Any]]
"""Kind and body of an entry of the journal."""


@dataclass(frozen=True)
class Account:
    """How often each thing happened in one deployment.

    Attributes:
        finished: steps that the journal says were finished.
        turns: beginnings and ends of the rollback, and of the deployment, in the journal.
        recorded, delivered: announcements in the journal, and in the channel.
        created: generations that the server says it began to start.
        activated: generations that the server says it made active, in order.
    """

    finished: Counter[str]
    turns: Counter[str]
    recorded: Counter[str]
    delivered: Counter[str]
    created: Counter[str]
    activated: tuple[str, ...]


def account_of(deployment: str, rows: Iterable[Row], announced: Sequence[str], log: Sequence[str]) -> Account:
    """The account of ``deployment``.

    Args:
        announced: lines of the announcements' file.
        log: lines that the server wrote since the deployment began.
    """
    rows = list(rows)
    own = [(kind, body) for kind, body in rows if body.get("deployment") == deployment]
    said = [str(body["id"]) for kind, body in rows if kind == "announcement.sent"]
    sent = [str(json.loads(line)["id"]) for line in announced if line.strip()]
    events = [json.loads(line) for line in log]
    turns = ("rollback.started", "rollback.finished", "deployment.finished")
    return Account(
        finished=Counter(str(body["step"]) for kind, body in own if kind == "step.finished"),
        turns=Counter(kind for kind, _ in own if kind in turns),
        recorded=_of(deployment, said),
        delivered=_of(deployment, sent),
        created=Counter(e["generation_id"] for e in events if e["event"] == "generation.staging"),
        activated=tuple(e["active"] for e in events if e["event"] == "generation.activated"),
    )


def not_once(
    account: Account,
    *,
    steps: Collection[str],
    turns: Collection[str],
    said: Collection[str],
    generation: str,
    activated: Sequence[str],
) -> list[str]:
    """Everything that did not happen exactly once and was wanted, or happened and was not; empty is good."""
    wanted = (
        ("finished", account.finished, steps),
        ("turn", account.turns, turns),
        ("recorded", account.recorded, said),
        ("delivered", account.delivered, said),
        ("created", account.created, (generation,)),
    )
    found = [
        f"{what} {name}: {counts[name]} times"
        for what, counts, names in wanted
        for name in sorted(set(counts) | set(names))
        if counts[name] != (1 if name in names else 0)
    ]
    if list(account.activated) != list(activated):
        found.append(f"activated {list(account.activated)}")
    return found


def _of(deployment: str, ids: Iterable[str]) -> Counter[str]:
    pairs = (one.rpartition("/") for one in ids)
    return Counter(what for owner, _, what in pairs if owner == deployment)
