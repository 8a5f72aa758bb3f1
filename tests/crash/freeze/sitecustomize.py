"""Stops a deployment's own process at one entry of its journal, so that a test can kill it exactly there.

Python reads this file at its start where the folder stands in PYTHONPATH; the product knows nothing of it.
FREEZE_AT is ``after step.started stage``: right after that entry is on the disk, or ``before`` instead of
writing it. Only the process that deploys is touched, not the one that follows it. It stops by SIGSTOP,
which shows from outside, and it never goes on: it waits to be killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def _freeze_at(moment: str, kind: str, what: str) -> None:
    from gonogo.journal.journal import Journal

    append = Journal.append

    def append_or_freeze(self, entry_kind, body, **about):
        # An announcement's id is the deployment's and what was said; other entries have no such name.
        name = body.get("step") or str(body.get("id", "")).rpartition("/")[2]
        meant = entry_kind == kind and name == what
        if meant and moment == "before":
            _freeze()
        entry = append(self, entry_kind, body, **about)
        if meant and moment == "after":
            _freeze()
        return entry

    Journal.append = append_or_freeze


def _freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    threading.Event().wait()


if "FREEZE_AT" in os.environ and {"--events", "--foreground"} & set(sys.orig_argv):
    _freeze_at(*(os.environ["FREEZE_AT"] + " ").split(" ")[:3])
