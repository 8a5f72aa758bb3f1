"""Starts a command as systemd does with a socket unit.

``python socket_activation.py [NAME=]WHERE... -- COMMAND``. WHERE is HOST:PORT of a TCP socket that listens
before the command runs and that it inherits, or the path of a Unix socket. It is the prefix of a server in
tests; none imports it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys

FIRST_DESCRIPTOR = 3


def listen(where: str) -> socket.socket:
    """A listening socket."""
    if where.startswith("/"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(where)
        listener.listen()
        return listener
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def main(arguments: list[str]) -> None:
    """Become the command."""
    end = arguments.index("--")
    units = [each.rpartition("=")[::2] for each in arguments[:end]]
    listeners = [listen(where) for _, where in units]
    # First out of the way, then in order: a socket may stand where another belongs.
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR + len(units)) for each in listeners]
    for place, descriptor in enumerate(moved, start=FIRST_DESCRIPTOR):
        os.dup2(descriptor, place)
    names = ":".join(name or "erlmcp.socket" for name, _ in units)
    told = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(units)), "LISTEN_FDNAMES": names}
    os.environ.update(told)
    os.execvp(arguments[end + 1], arguments[end + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
