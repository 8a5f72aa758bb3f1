"""How many files and sockets a process may have open: raised as far as it may go, and what fits below it.

Service managers and shells start programs with a low limit for the sake of old ones; a server that stays
there refuses connections long before its own limit is reached. Workers inherit what their master has. What is
open now is read in ``erlmcp.telemetry.place``.
"""

from __future__ import annotations

import resource
from typing import Final

from erlmcp.telemetry.logs import Log

RESERVED: Final = 256
"""For what is no connection of a client: listeners, logs, modules, and what the guest opens."""

log = Log(__name__)


def raise_limit(connections: int) -> None:
    """Raise our limit to the highest that we may have without asking anybody.

    Args:
        connections: that one worker is to hold; if they do not fit, it is told.
    """
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before != most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        except (OSError, ValueError) as fault:  # unlimited, where the kernel has a bound all the same
            log.warning("descriptors.not-raised", limit=before, fault=str(fault))
        else:
            log.info("descriptors.raised", before=before, limit=most)
    fit = connections_that_fit(connections)
    if fit < connections:
        log.warning(
            "descriptors.too-few",
            limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            connections=fit,
            max_connections=connections,
            hint=f"raise the hard limit (LimitNOFILE=, ulimit -Hn) to {connections + RESERVED}",
        )


def connections_that_fit(connections: int) -> int:
    """So many connections, or fewer if the limit of this process does not let it have them."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return connections
    return min(connections, max(limit - RESERVED, limit // 2))
