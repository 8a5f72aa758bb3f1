"""The pages of the admin listener and of the control socket, as two Starlette applications.

The admin application only reads: it has no route that changes anything, so nothing there can be reached by
a mistake in a check. The control application is the same and the acts. Both answer faults as JSON with an
id, a message and a hint. Listening is ``erlmcp.admin.server``.
"""

from __future__ import annotations

import pwd
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from erlmcp.admin.dashboard.routes import dashboard_routes
from erlmcp.admin.service import Reads, Service
from erlmcp.config.errors import ErlmcpError
from erlmcp.config.urls import is_loopback
from erlmcp.telemetry.exposition import CONTENT_TYPE
from erlmcp.telemetry.logs import Log

MAX_BODY_BYTES = 256 * 1024

log = Log(__name__)

Handler = Callable[[Request], Awaitable[Response]]


def admin_app(service: Reads) -> ASGIApp:
    """What may be read over TCP. Any method but GET and HEAD is 405."""
    return LoopbackHostOnly(_application(_read_routes(service)))


def control_app(service: Service) -> ASGIApp:
    """What may be read and done over the control socket."""
    return _application([*_read_routes(service), *_act_routes(service)])


class LoopbackHostOnly:
    """Refuses a Host that is not loopback: a browser that was lured by DNS must not read these pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass loopback on, answer 421 to anything else."""
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or not _is_loopback(hosts[0].decode("latin-1")):
                response = _fault(
                    421,
                    "admin.host-refused",
                    "the Host header is not a loopback name",
                    "ask for 127.0.0.1 or localhost",
                )
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    return is_loopback(name.strip("[]"))


def _application(routes: list[Route]) -> Starlette:
    return Starlette(
        routes=routes,
        exception_handlers={
            ErlmcpError: _answer_fault,
            HTTPException: _answer_http_fault,
            Exception: _answer_bug,
        },
    )


def _read_routes(service: Reads) -> list[Route]:
    async def health(_: Request) -> Response:
        return _json(service.health())

    async def ready(_: Request) -> Response:
        answer = service.ready()
        return _json(answer, 200 if answer["status"] == "ready" else 503)

    async def metrics(_: Request) -> Response:
        return Response(await service.metrics(), media_type=CONTENT_TYPE)

    async def config(_: Request) -> Response:
        return _json(service.config())

    async def listeners(_: Request) -> Response:
        return _json(service.listeners())

    async def generations(_: Request) -> Response:
        return _json(await service.generations())

    async def faults(_: Request) -> Response:
        return _json(service.faults())

    pages: dict[str, Handler] = {
        "/health": health,
        "/ready": ready,
        "/metrics": metrics,
        "/config": config,
        "/listeners": listeners,
        "/generations": generations,
        "/faults": faults,
    }
    plain = [Route(path, page, methods=["GET"]) for path, page in pages.items()]
    return [*plain, *dashboard_routes(service)]


def _act_routes(service: Service) -> list[Route]:
    async def stage(request: Request) -> Response:
        generation, is_new = await service.stage(_id(request), await _body(request))
        return _json(generation, 201 if is_new else 200)

    async def activate(request: Request) -> Response:
        return _json(await service.activate(_id(request)))

    async def drain(request: Request) -> Response:
        return _json(await service.drain(_id(request)))

    async def retire(request: Request) -> Response:
        return _json(await service.retire(_id(request)))

    async def log_level(request: Request) -> Response:
        return _json(await service.set_log_level(_level(await _body(request))))

    async def inject(request: Request) -> Response:
        return _json(await service.inject_fault(_id(request), await _body(request)))

    async def end_fault(request: Request) -> Response:
        return _json(await service.end_fault(_id(request)))

    async def session_keys(_: Request) -> Response:
        return _json(await service.change_keys())

    return [
        Route("/generations/{id}", _logged("stage", stage), methods=["PUT"]),
        Route("/generations/{id}", _logged("retire", retire), methods=["DELETE"]),
        Route("/generations/{id}/activate", _logged("activate", activate), methods=["POST"]),
        Route("/generations/{id}/drain", _logged("drain", drain), methods=["POST"]),
        Route("/log-level", _logged("log-level", log_level), methods=["PUT"]),
        Route("/faults/{id}", _logged("inject-fault", inject), methods=["PUT"]),
        Route("/faults/{id}", _logged("end-fault", end_fault), methods=["DELETE"]),
        Route("/session-keys/change", _logged("session-keys", session_keys), methods=["POST"]),
    ]


def _logged(act: str, handler: Handler) -> Handler:
    """Every act is written down with who asked for it, and how it ended."""

    async def handle(request: Request) -> Response:
        who = {
            "act": act,
            "subject": request.path_params.get("id", ""),
            "peer_pid": request.scope.get("state", {}).get("peer_pid"),
            "peer_uid": request.scope.get("state", {}).get("peer_uid"),
            "peer_user": _user(request.scope.get("state", {}).get("peer_uid")),
        }
        log.info("control.asked", **who)
        try:
            response = await handler(request)
        except ErlmcpError as fault:
            log.warning("control.refused", **who, error_id=fault.error_id, message=fault.message)
            raise
        log.info("control.done", **who, status=response.status_code)
        return response

    return handle


def _user(uid: int | None) -> str:
    """The name of whoever asked; empty when this system has none for the number."""
    try:
        return "" if uid is None else pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _id(request: Request) -> str:
    return str(request.path_params["id"])


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise ErlmcpError(
                "control.body-too-large",
                f"the body is too large, got more than {MAX_BODY_BYTES} bytes; expected at most that",
                status=413,
            )
    return bytes(body)


def _level(body: bytes) -> str:
    try:
        wanted = msgspec.json.decode(body, type=dict[str, str])
        return wanted["level"]
    except (msgspec.MsgspecError, KeyError) as fault:
        raise ErlmcpError(
            "control.bad-body",
            f'the body is wrong, got {fault}; expected {{"level": "debug"}} or another level',
            hint="levels are debug, info, warning and error",
        ) from fault


def _json(value: Any, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(value),
        status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def _fault(status: int, error_id: str, message: str, hint: str, **more: Any) -> Response:
    return _json({"error": {"id": error_id, "message": message, "hint": hint, **more}}, status)


async def _answer_fault(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, ErlmcpError)
    more = {"log_tail": list(fault.log_tail)} if fault.log_tail else {}
    return _fault(fault.status, fault.error_id, fault.message, fault.hint, **more)


async def _answer_http_fault(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    names = {404: "http.not-found", 405: "http.method-not-allowed"}
    response = _fault(
        fault.status_code, names.get(fault.status_code, "http.refused"), fault.detail.lower(), ""
    )
    for name, value in (fault.headers or {}).items():
        response.headers[name] = value
    return response


async def _answer_bug(_: Request, fault: Exception) -> Response:
    log.error("control.failed", fault=repr(fault))
    return _fault(500, "internal", "the server failed to answer", "its log says more")
