"""How TLS is spoken: versions, ciphers, and what the server proves itself with.

An `Identity` is PEM text that was read and judged before (``erlmcp.edge.certificates``); here it becomes an
``ssl.SSLContext``. Accepting connections with it is ``erlmcp.transports.tls``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from contextvars import ContextVar
from typing import Final, Literal

import msgspec

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption only. Those of TLS 1.3 all have both."""

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Identity(msgspec.Struct, frozen=True):
    """What a server proves itself with, and whom it believes; all as PEM.

    Attributes:
        chain: its certificate, then the intermediates.
        key: the private key of the certificate.
        client_ca: the authorities whose clients are let in; empty lets in everybody.
    """

    chain: str
    key: str
    client_ca: str = ""

    def __repr__(self) -> str:
        """Without the key: this may stand in a log."""
        return f"Identity(mutual={bool(self.client_ca)})"


accepted: Final[ContextVar[socket.socket | None]] = ContextVar("accepted", default=None)
"""The connection for whose handshake an object is made; whoever accepts it says so."""


class _Context(ssl.SSLContext):
    """Its objects tell the client why a handshake fails."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As the standard library's."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(made, _Telling)
        made.outgoing, made.connection = outgoing, accepted.get()
        return made


class _Telling(ssl.SSLObject):
    """Sends the alert of a failed handshake (RFC 8446, 6.2); event loops close and leave it unsent."""

    outgoing: ssl.MemoryBIO
    connection: socket.socket | None

    def do_handshake(self) -> None:
        """As the standard library's."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self.connection is not None and self.outgoing.pending:
                with contextlib.suppress(OSError):  # it is over either way
                    self.connection.send(self.outgoing.read())
            raise


_Context.sslobject_class = _Telling


def server_context(
    identity: Identity, *, minimum: Literal["1.2", "1.3"], protocols: tuple[str, ...] = ()
) -> ssl.SSLContext:
    """A new context; connections that were made with an older one are not touched by it.

    Args:
        minimum: the oldest version that is spoken.
        protocols: what is offered by ALPN (RFC 7301); a client that wants none of them is served too.

    Raises:
        ssl.SSLError: OpenSSL refuses the certificate, the key or the authorities.
    """
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[minimum]
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load(context, identity)
    if identity.client_ca:
        context.load_verify_locations(cadata=identity.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def _load(context: ssl.SSLContext, identity: Identity) -> None:
    """OpenSSL takes files only; this one is in memory and has no name that others could open."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "w", encoding="ascii") as file:
            file.write(f"{identity.key}\n{identity.chain}")
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """Instead of a question on the terminal."""
    raise ssl.SSLError("the key is encrypted")
