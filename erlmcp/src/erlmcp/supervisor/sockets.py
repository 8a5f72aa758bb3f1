"""Listening sockets: made here once, inherited by every worker, closed only when the server ends.

It refuses what would expose the server by accident. Speaking TLS is the edge's and the transports' concern.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.schema import Settings, TlsSettings

BACKLOG = 4_096
MAX_PATH_BYTES = 107
_FIRST_SYSTEMD_DESCRIPTOR = 3


def parse_address(text: str, flag: str) -> tuple[str, int]:
    """HOST:PORT, also [::1]:PORT.

    Raises:
        ErlmcpError: listen.bad-address.
    """
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not _is_number(port) or int(port) > 65_535:
        raise ErlmcpError(
            "listen.bad-address",
            f"the address of {flag} is wrong, got {text!r}; expected HOST:PORT",
            hint=f"{flag} 127.0.0.1:8080",
        )
    return host, int(port)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_admin_loopback(host: str) -> None:
    """Raise admin.not-loopback unless only this machine can reach it."""
    if not is_loopback(host):
        raise ErlmcpError(
            "admin.not-loopback",
            f"the admin listener must stay on this machine, got {host}; expected a loopback address",
            hint="use --admin 127.0.0.1:9090 and let a collector on this machine read it",
        )


def require_tcp_loopback(host: str, tls: TlsSettings) -> None:
    """Raise listen.tcp-not-loopback unless only this machine, or clients with certificates, can reach it.

    Lines carry no credentials: only TLS can say who is there.
    """
    if not is_loopback(host) and not tls.client_ca:
        raise ErlmcpError(
            "listen.tcp-not-loopback",
            f"MCP over TCP has no authentication, got {host}; expected a loopback address",
            hint="use --tcp 127.0.0.1:7000, or let in whom tls.client_ca knows",
        )


def require_public_meant(host: str, settings: Settings) -> None:
    """Refuse an address that others reach unless a name is declared, TLS is spoken and tokens are needed.

    Raises:
        ErlmcpError: listen.not-loopback, listen.no-tls, listen.no-auth.
    """
    if is_loopback(host):
        return
    if not settings.mcp.allowed_hosts:
        raise ErlmcpError(
            "listen.not-loopback",
            f"the MCP endpoint would be open to others, got {host}; expected a loopback address",
            hint='declare the public name first: allowed_hosts = ["mcp.example.com"] under [mcp]',
        )
    by_proxy = settings.tls.terminated_by_proxy and settings.http.trusted_proxies
    if not settings.tls.certificate and not by_proxy:
        raise ErlmcpError(
            "listen.no-tls",
            f"the MCP endpoint would be open to others without TLS, got {host}; expected a certificate, or a"
            " proxy that ends TLS",
            hint="give certificate and key under [tls], or declare the proxy: terminated_by_proxy = true"
            " there, and its addresses as trusted_proxies under [http]",
        )
    if not (settings.auth.enabled or settings.auth.anonymous or settings.tls.client_ca):
        raise ErlmcpError(
            "listen.no-auth",
            f"the MCP endpoint would serve everybody, got {host} without access tokens; expected [auth]",
            hint="name whose tokens are good under [auth], or declare there that nobody needs one:"
            " anonymous = true",
        )


def listen_tcp(host: str, port: int, flag: str) -> socket.socket:
    """A listening, non-blocking TCP socket.

    Raises:
        ErlmcpError: listen.in-use, listen.failed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as fault:
        raise _cannot_listen(host, port, flag, fault) from fault
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as fault:
        listener.close()
        raise _cannot_listen(host, port, flag, fault) from fault
    listener.setblocking(False)
    return listener


def _cannot_listen(host: str, port: int, flag: str, fault: OSError) -> ErlmcpError:
    if fault.errno == errno.EADDRINUSE:
        return ErlmcpError(
            "listen.in-use",
            f"the address of {flag} is taken, got {host}:{port}; expected a free port",
            hint="stop the other program, or choose another port",
            exit_code=1,
        )
    return ErlmcpError(
        "listen.failed",
        f"cannot listen for {flag}, got {host}:{port}: {fault.strerror}; expected an address of this machine",
        hint="check the address and the right to use the port",
        exit_code=1,
    )


def inherited_http(
    environ: Mapping[str, str], first_descriptor: int = _FIRST_SYSTEMD_DESCRIPTOR
) -> socket.socket | None:
    """The socket that systemd has opened for us, if it has (LISTEN_FDS).

    Among several it is the one named http. Whether its address may be served is for the caller to judge:
    it was chosen outside, and is no less open to others for that.

    Raises:
        ErlmcpError: listen.bad-socket: it is not one listening TCP socket.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    told = environ.get("LISTEN_FDS", "")
    count = int(told) if _is_number(told) else 0
    if count < 1:
        return None
    names = environ.get("LISTEN_FDNAMES", "").split(":")[:count]
    if names.count("http") != 1 and count > 1:
        # The system would take connections on the others, and nobody would ever answer them.
        raise _bad_socket(first_descriptor, f"{count} sockets of which {names.count('http')} are named http")
    descriptor = first_descriptor + (names.index("http") if "http" in names else 0)
    try:
        listener = socket.socket(fileno=descriptor)
        listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as fault:
        raise _bad_socket(descriptor, fault.strerror or "unusable") from fault
    if not listening or listener.type != socket.SOCK_STREAM:
        raise _bad_socket(descriptor, "not a listening stream socket")
    if listener.family not in {socket.AF_INET, socket.AF_INET6}:
        raise _bad_socket(descriptor, "a socket that is not TCP")
    listener.setblocking(False)
    return listener


def _bad_socket(descriptor: int, got: str) -> ErlmcpError:
    return ErlmcpError(
        "listen.bad-socket",
        f"the inherited descriptor {descriptor} cannot be used, got {got}; expected one listening TCP socket",
        hint="set one ListenStream=HOST:PORT and Accept=no in the socket unit, and FileDescriptorName=http if"
        " it is not the only one",
    )


class ControlSocket:
    """The Unix socket for the acts: mode 0600 from its first moment, never taken from a live server.

    A missing folder is made for it, open to its owner only; the folder above must exist.

    Raises:
        ErlmcpError: control.in-use, control.not-a-socket, control.bad-path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise _bad_control_path(path, f"a path of {len(os.fsencode(path))} bytes")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with _folder_lock(path.parent):
                _remove_dead(path)
                self.sock = _bind_private(path)
                self._inode = path.stat().st_ino
        except OSError as fault:
            raise _bad_control_path(path, str(fault.strerror or fault)) from fault

    @property
    def mode(self) -> str:
        """The permission bits as they are now, such as 0600."""
        try:
            return f"{stat.S_IMODE(self.path.stat().st_mode):04o}"
        except OSError:
            return "missing"

    def close(self) -> None:
        """Remove the path if it is still ours."""
        self.sock.close()
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Two servers that start at once look at the path one after the other."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_dead(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ErlmcpError(
            "control.not-a-socket",
            f"the control path is taken, got a file that is no socket at {path}; expected nothing there",
            hint="choose another path for --control, or remove the file yourself",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass  # somebody listens and is busy
    raise ErlmcpError(
        "control.in-use",
        f"another server answers on the control socket, got {path}; expected a path that nobody uses",
        hint="stop that server, or choose another path for --control",
        exit_code=1,
    )


def _bind_private(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def _bad_control_path(path: Path, got: str) -> ErlmcpError:
    return ErlmcpError(
        "control.bad-path",
        f"the control socket cannot be made, got {path}: {got}; expected a short path in a folder of ours",
        hint=f"use a path of at most {MAX_PATH_BYTES} bytes in a folder that exists and can be written",
    )
