"""The requests that a client can make, of both eras and of the tasks extension. Names only.

A guest may serve others, which nobody here knows by name.
"""

from __future__ import annotations

from typing import Final

METHODS: Final = frozenset(
    {
        "completion/complete",
        "initialize",
        "logging/setLevel",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
        "server/discover",
        "subscriptions/listen",
        "tasks/cancel",
        "tasks/get",
        "tasks/update",
        "tools/call",
        "tools/list",
    }
)
"""Those that metrics name, and rules of scopes may. Any other is ``other`` to a meter: no client must be able
to make labels."""
