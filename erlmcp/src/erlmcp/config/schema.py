"""The schema of ``erlmcp.toml``. It is also the manual: field descriptions become the reference page.

It only says what a configuration is. Reading files and the environment, provenance and faults are
``erlmcp.config.load``. Every limit has a stated default here and a test at its edge.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from erlmcp.config.auth_settings import AuthSettings
from erlmcp.config.log_settings import LogSettings
from erlmcp.config.section import ONE_LINE
from erlmcp.config.section import Section as _Section
from erlmcp.config.trace_settings import TraceSettings
from erlmcp.config.urls import network


class HttpSettings(_Section):
    """Limits of the HTTP transport."""

    max_header_bytes: int = Field(
        16_384, ge=256, description="Request line and headers together, bytes; more is 431."
    )
    max_headers: int = Field(100, ge=1, description="Header fields; more is 431.")
    max_body_bytes: int = Field(
        4 * 1024 * 1024,
        ge=1,
        description="Request body, bytes; more is 413. Also a line of TCP or stdio, a WebSocket message.",
    )
    header_timeout_s: float = Field(
        10.0,
        gt=0,
        description="From the first byte to the end of headers, seconds. A new connection may be silent for"
        " as long.",
    )
    body_timeout_s: float = Field(
        30.0,
        gt=0,
        description="From the end of headers to that of the body, seconds. Also a line, a WebSocket message.",
    )
    keep_alive_timeout_s: float = Field(75.0, gt=0, description="Idle time of a kept connection, seconds.")
    max_connections: int = Field(
        10_000,
        ge=1,
        description="Open connections of one worker. For one more, one is closed that never asked anything,"
        " or that has been idle longest; if all are in use, the new one.",
    )
    max_connections_per_address: int = Field(
        1_000,
        ge=1,
        description="Of these from one address (of IPv6: one /64); more are closed at once. Not for this"
        " machine unless limits.loopback.",
    )
    trusted_proxies: tuple[Annotated[str, AfterValidator(network)], ...] = Field(
        (),
        max_length=100,
        description="Addresses or networks of proxies that are believed about whom they speak for, such as"
        " 10.0.0.0/8; limits and bans then count by that client.",
    )
    forwarded_field: Literal["x-forwarded-for", "forwarded"] = Field(
        "x-forwarded-for",
        description="The header field in which these proxies write the address of their client; the other"
        " one is ignored.",
    )
    proxy_protocol: bool = Field(
        False,
        description="Whether these proxies begin each connection with a PROXY header (version 1 or 2), over"
        " HTTP and TCP; then whoever does not is closed, and so is whoever is no trusted proxy.",
    )
    max_pipelined: int = Field(
        16, ge=1, description="Requests read ahead on one connection; then reading pauses."
    )
    max_stream_buffer_bytes: int = Field(
        1024 * 1024, ge=1024, description="Unsent bytes of one stream; a slower reader is cut."
    )

    @model_validator(mode="after")
    def _somebody_introduces(self) -> HttpSettings:
        if self.proxy_protocol and not self.trusted_proxies:
            raise ValueError("proxy_protocol only with trusted_proxies, since nobody else is let in then")
        return self


class McpSettings(_Section):
    """The MCP endpoint."""

    path: str = Field("/mcp", pattern=r"^/", description="Path of the endpoint.")
    websocket_path: str = Field(
        "/ws", pattern=r"^(/.*)?$", description="Path of MCP over WebSocket; empty switches it off."
    )
    sse_path: str = Field(
        "/sse",
        pattern=r"^(/.*)?$",
        description="Path of the HTTP+SSE stream of 2024-11-05; empty switches it off.",
    )
    sse_messages_path: str = Field(
        "/messages", pattern=r"^/", description="Path that takes the messages of HTTP+SSE."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names accepted in the Host header besides loopback; needed for a public name."
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="Browser origins accepted besides none; scheme, host and port compared exactly."
    )
    request_timeout_s: float = Field(300.0, gt=0, description="Longest time for one request, seconds.")
    ping_interval_s: float = Field(15.0, gt=0, description="Comment or ping on a quiet stream, seconds.")
    max_streams: int = Field(20_000, ge=1, description="Open streams of one worker; more are refused.")
    max_json_depth: int = Field(64, ge=4, description="Nesting of a request body; deeper is refused.")
    session_idle_s: float = Field(
        1_800.0, gt=0, description="A handshake session unused this long has ended, seconds."
    )
    session_max_s: float = Field(
        7 * 86_400.0, gt=0, description="A handshake session older than this has ended, seconds."
    )
    max_sessions: int = Field(
        100_000,
        ge=1,
        le=100_000,
        description="Handshake sessions that are in use, of all workers that share a bus; more are refused.",
    )
    resume_max_events: int = Field(
        1_000,
        ge=1,
        description="Messages of one stream kept for a client that comes back.",
    )
    resume_max_bytes: int = Field(
        1024 * 1024, ge=1024, le=8 * 1024 * 1024, description="Bytes of one stream kept for the same."
    )
    resume_total_bytes: int = Field(
        64 * 1024 * 1024, ge=1024, description="Bytes kept by one worker for all streams."
    )
    resume_max_age_s: float = Field(
        300.0, gt=0, description="How long a message is kept for a client that comes back, seconds."
    )
    resume_retry_s: float = Field(
        0.5, gt=0, description="How long a client is told to wait before it comes back, seconds."
    )


class LimitSettings(_Section):
    """How much is taken by one worker; a rate of zero means no limit."""

    requests_per_s: float = Field(
        0.0, ge=0, description="Requests of one address (of IPv6: one /64) a second; more is 429."
    )
    burst: int = Field(100, ge=1, description="Requests that may come at once before the rate counts.")
    client_requests_per_s: float = Field(
        0.0, ge=0, description="The same for one client: whom its access token stands for, else its address."
    )
    client_burst: int = Field(100, ge=1, description="Requests of a client that may come at once.")
    total_requests_per_s: float = Field(0.0, ge=0, description="The same for all clients together.")
    total_burst: int = Field(1_000, ge=1, description="Requests of all clients that may come at once.")
    calls_per_s: float = Field(
        1_000.0,
        ge=0,
        description="tools/call and completion/complete of one client a second; more is 429. Not for this"
        " machine without a token, unless loopback.",
    )
    calls_burst: int = Field(2_000, ge=1, description="Such calls of a client that may come at once.")
    shared: bool = Field(
        False,
        description="Whether all workers, and all hosts that share a bus, count the rates together. Each else"
        " counts for itself.",
    )
    shed_lag_s: float = Field(
        1.0,
        ge=0,
        description="A worker whose event loop is always later than this has too much to do: it refuses new"
        " work with 503 until it is not, seconds. Zero never refuses.",
    )
    shed_after_s: float = Field(
        3.0, gt=0, description="For how long it must be late before, and punctual afterwards, seconds."
    )
    loopback: bool = Field(
        False,
        description="Whether clients on this machine are limited in connections, too. Behind a proxy on this"
        " machine they are all clients together.",
    )
    ban_after: int = Field(
        100,
        ge=0,
        description="Bad tokens and malformed requests that one address may send at once before its"
        " connections are closed and it is shut out. Zero bans nobody. Nor is anybody banned where"
        " tls.terminated_by_proxy is declared without http.trusted_proxies: all clients have one address."
        " Not for this machine unless loopback.",
    )
    ban_window_s: float = Field(
        10.0, gt=0, description="In which time as many are forgiven again, little by little, seconds."
    )
    ban_s: float = Field(60.0, gt=0, description="How long an address is shut out, seconds.")
    max_in_flight: int = Field(1_000, ge=1, description="Requests being handled by one worker; more is 503.")
    max_in_flight_per_client: int = Field(
        500, ge=1, description="Of these for one client; more is 429. Not for this machine unless loopback."
    )


class TaskSettings(_Section):
    """Tool calls that become tasks (the tasks extension). The limits are those of one worker."""

    enabled: bool = Field(True, description="Whether the extension is offered.")
    begin_after_s: float = Field(
        0.1, gt=0, description="How long a call may take before it is answered with a task, seconds."
    )
    ttl_s: float = Field(
        3_600.0,
        gt=0,
        le=7 * 86_400.0,
        description="How long a task is kept from its creation, seconds; one that still runs then fails.",
    )
    poll_interval_s: float = Field(
        1.0, gt=0, description="How often clients are told to ask for a task, seconds."
    )
    max_kept: int = Field(10_000, ge=1, description="Tasks kept, running and ended; more are refused.")
    max_running_per_client: int = Field(
        100,
        ge=1,
        description="Running tasks of one client (its credential, else its address); more are refused.",
    )
    max_result_bytes: int = Field(
        1024 * 1024,
        ge=1024,
        le=8 * 1024 * 1024,
        description="Result of one task, bytes of JSON; a longer one fails the task.",
    )
    max_total_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        description="Results kept, bytes; a result beyond it fails its task. Copies of the results of other"
        " workers are kept within as much again.",
    )


class TlsSettings(_Section):
    """TLS on the public listeners: HTTP with WebSocket and HTTP+SSE, and TCP. Off without a certificate."""

    certificate: str = Field(
        "",
        pattern=ONE_LINE,
        description="Path of the certificate and the intermediates that follow it, PEM; empty means no TLS.",
    )
    key: str = Field(
        "",
        pattern=ONE_LINE,
        description="Path of the private key, PEM, not encrypted, open to its owner only (mode 0600;"
        " 0640 if it is root's and the server runs as another user).",
    )
    client_ca: str = Field(
        "",
        pattern=ONE_LINE,
        description="Path of the authorities of clients, PEM; a client without a certificate of theirs is"
        " refused (mutual TLS). Empty asks for none.",
    )
    minimum: Literal["1.2", "1.3"] = Field("1.2", description="Oldest TLS version that is spoken.")
    handshake_timeout_s: float = Field(
        10.0, gt=0, description="From accepting a connection to the end of the TLS handshake, seconds."
    )
    max_handshakes: int = Field(
        1_000, ge=1, description="TLS handshakes at one time in one worker; more are closed at once."
    )
    hsts_max_age_s: int = Field(
        31_536_000,
        ge=0,
        description="max-age of Strict-Transport-Security, seconds; sent over TLS once mcp.allowed_hosts"
        " declares a public name. Zero sends none.",
    )
    reload_interval_s: float = Field(
        5.0, gt=0, description="How often the files are looked at for a renewed certificate, seconds."
    )
    terminated_by_proxy: bool = Field(
        False,
        description="Declares that the proxies of http.trusted_proxies end TLS in front of this server, which"
        " allows a public address without a certificate here; then nobody else is let in from elsewhere.",
    )


class BusSettings(_Section):
    """What servers on several hosts tell each other over Redis; within one host nothing is needed."""

    url: str = Field(
        "",
        pattern=r"^(rediss?://[^\s]+|unix:///[^\s]+)?$",
        description="redis://HOST:PORT/DB, rediss:// with TLS, or unix:///PATH; empty for one host. The"
        " password comes from ERLMCP_BUS_PASSWORD or the file that ERLMCP_BUS_PASSWORD_FILE names.",
    )
    name: str = Field(
        "erlmcp",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Name of the service on the Redis server; hosts with the same name hear each other.",
    )
    timeout_s: float = Field(
        3.0,
        ge=0.1,
        le=60,
        description="Redis or another host that says nothing for this long counts as gone, seconds.",
    )
    ca_file: str = Field(
        "",
        pattern=ONE_LINE,
        description="Certificates that rediss:// trusts; empty means those of the system.",
    )


class DashboardSettings(_Section):
    """The page for people at /dashboard of the admin listener."""

    enabled: bool = Field(True, description="Whether there is one; if not, nothing is remembered for it.")
    interval_s: float = Field(
        2.0, ge=0.2, le=15, description="How often the server looks at itself for it, seconds."
    )
    max_viewers: int = Field(
        16, ge=1, le=100, description="Browsers that are told changes as they come; more are refused."
    )
    cut_after_s: float = Field(
        10.0, ge=0.5, le=120, description="A browser that takes nothing for this long is cut off, seconds."
    )


class Settings(_Section):
    """All of erlmcp.toml."""

    environment: Literal["development", "staging", "production"] = Field(
        "production", description="production forbids debug settings."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes of one generation.")
    drain_timeout_s: float = Field(30.0, gt=0, description="How long running requests may finish, seconds.")
    start_timeout_s: float = Field(
        30.0, gt=0, description="How long a generation may take to start, seconds."
    )
    max_threads: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Plain def handlers that one worker runs at one time; more wait. A worker in which as"
        " many have not ended though their calls are over is replaced.",
    )
    loop_blocked_warn_s: float = Field(
        1.0,
        ge=0,
        description="A handler that keeps the event loop from turning this long is logged and counted by"
        " name, seconds; zero means never.",
    )
    loop_blocked_exit_s: float = Field(
        30.0,
        ge=0,
        description="A worker whose event loop has not turned this long is ended and replaced, seconds; zero"
        " means never.",
    )
    http: HttpSettings = Field(default_factory=HttpSettings)
    mcp: McpSettings = Field(default_factory=McpSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    tasks: TaskSettings = Field(default_factory=TaskSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    bus: BusSettings = Field(default_factory=BusSettings)
    dashboard: DashboardSettings = Field(default_factory=DashboardSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    trace: TraceSettings = Field(default_factory=TraceSettings)
