"""A service manager as systemd is one: the socket that servers with ``Type=notify`` speak to."""

from __future__ import annotations

import contextlib
import socket
import threading


class Manager:
    """Hears as systemd does."""

    def __init__(self, address):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(0.1)
        self.heard = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self):
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                self.heard.append(
                    dict(line.split("=", 1) for line in self._socket.recv(4096).decode().split("\n"))
                )

    def values(self, name):
        return [each[name] for each in list(self.heard) if name in each]

    def close(self):
        self._ended.set()
        self._thread.join(5)
        self._socket.close()
