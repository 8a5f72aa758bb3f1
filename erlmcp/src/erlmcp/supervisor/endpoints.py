"""The places where a server is reached: public HTTP, admin, control. Opened and closed together."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from erlmcp.config.schema import Settings
from erlmcp.supervisor import sockets


class Endpoints:
    """The open sockets of one server.

    Attributes:
        public: the listeners for clients by name, shared with every worker: ``http``, and ``tcp`` if wanted.
        admin: the listener that only reads.
        control: the Unix socket for the acts, if there is one.
    """

    def __init__(
        self,
        public: dict[str, socket.socket],
        admin: socket.socket,
        control: sockets.ControlSocket | None,
        *,
        tls: bool = False,
    ) -> None:
        self._scheme = "https" if tls else "http"
        self.public = public
        self.admin = admin
        self.control = control
        self._addresses = {name: each.getsockname()[:2] for name, each in {**public, "admin": admin}.items()}

    @classmethod
    def open(
        cls,
        *,
        http: str,
        admin: str,
        tcp: str = "",
        control: Path | None,
        settings: Settings,
        environ: Mapping[str, str] = os.environ,
    ) -> Endpoints:
        """Open all of them, or none.

        Args:
            http: HOST:PORT; ignored when systemd hands a socket over, which is judged by the same rule.
            admin: HOST:PORT, loopback.
            tcp: HOST:PORT, loopback unless clients have certificates; empty for none.
            control: path of the Unix socket.

        Raises:
            ErlmcpError: an address that is wrong, taken or would be open to others.
        """
        admin_host, admin_port = sockets.parse_address(admin, "--admin")
        sockets.require_admin_loopback(admin_host)
        with contextlib.ExitStack() as undo:
            public = sockets.inherited_http(environ)
            if public is None:
                host, port = sockets.parse_address(http, "--http")
                sockets.require_public_meant(host, settings)
                public = sockets.listen_tcp(host, port, "--http")
                undo.callback(public.close)
            else:
                undo.callback(public.close)
                sockets.require_public_meant(public.getsockname()[0], settings)
            listeners = {"http": public}
            if tcp:
                tcp_host, tcp_port = sockets.parse_address(tcp, "--tcp")
                sockets.require_tcp_loopback(tcp_host, settings.tls)
                listeners["tcp"] = sockets.listen_tcp(tcp_host, tcp_port, "--tcp")
                undo.callback(listeners["tcp"].close)
            admin_listener = sockets.listen_tcp(admin_host, admin_port, "--admin")
            undo.callback(admin_listener.close)
            control_socket = sockets.ControlSocket(control) if control else None
            endpoints = cls(listeners, admin_listener, control_socket, tls=bool(settings.tls.certificate))
            undo.pop_all()
        return endpoints

    def require_meant(self, settings: Settings) -> None:
        """Judge by other settings than the first whether the public listener may serve whom it reaches.

        Raises:
            ErlmcpError: listen.not-loopback, listen.no-tls, listen.no-auth.
        """
        sockets.require_public_meant(self._addresses["http"][0], settings)

    def stop_accepting(self) -> None:
        """Let go of the public sockets; what the workers hold they close themselves."""
        for each in self.public.values():
            each.close()

    def close(self) -> None:
        """Close everything and remove the control path."""
        self.stop_accepting()
        self.admin.close()
        if self.control is not None:
            self.control.close()

    def texts(self, mcp_path: str) -> dict[str, str]:
        """Each place as a person would type it."""
        texts = {
            "mcp": f"{self._scheme}://{_join(*self._addresses['http'])}{mcp_path}",
            **({"tcp": _join(*self._addresses["tcp"])} if "tcp" in self._addresses else {}),
            "admin": f"http://{_join(*self._addresses['admin'])}",
        }
        if self.control is not None:
            texts["control"] = str(self.control.path)
        return texts

    def description(self) -> list[dict[str, Any]]:
        """Each place as the admin interface shows it."""
        places: list[dict[str, Any]] = [
            {"name": name, "address": _join(host, port), "loopback": sockets.is_loopback(host)}
            for name, (host, port) in self._addresses.items()
        ]
        if self.control is not None:
            places.append({"name": "control", "address": str(self.control.path), "mode": self.control.mode})
        return places


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
