"""The addresses of the dashboard: the page, its changes as an event stream, a style sheet, a script, a
picture.

Nothing is loaded from elsewhere, and no script or style stands in the page: the policy that goes with it
forbids both.
"""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from erlmcp.admin.dashboard.dashboard import Dashboard
from erlmcp.admin.dashboard.html import document
from erlmcp.admin.dashboard.viewers import Viewer
from erlmcp.admin.service import Reads
from erlmcp.config.errors import ErlmcpError

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FILES: Final = {
    "dashboard.css": "text/css",
    "dashboard.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def dashboard_routes(service: Reads) -> list[Route]:
    """All of them."""

    async def whole(_: Request) -> Response:
        body = document(await _of(service).page())
        return Response(body, media_type="text/html", headers=_HEADERS)

    async def events(request: Request) -> Response:
        return await EventStream.opened(request, _of(service))

    return [
        Route("/dashboard", whole, methods=["GET"]),
        Route("/dashboard/events", events, methods=["GET"]),
        *(_file(name, media_type) for name, media_type in _FILES.items()),
    ]


def _of(service: Reads) -> Dashboard:
    found = service.dashboard()
    if found is None:
        raise ErlmcpError(
            "dashboard.off",
            "there is no dashboard, got dashboard.enabled = false; expected true",
            hint="set dashboard.enabled = true and start the server again",
            status=404,
        )
    return found


def _file(name: str, media_type: str) -> Route:
    content = (files("erlmcp.admin.dashboard") / "static" / name).read_bytes()

    async def file(_: Request) -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return Route(f"/dashboard/{name}", file, methods=["GET"])


class EventStream(Response):
    """The changes of the page, until the browser goes, is cut off, or the server ends."""

    def __init__(self, dashboard: Dashboard, viewer: Viewer | None) -> None:
        super().__init__(media_type="text/event-stream", headers=_HEADERS)
        del self.headers["content-length"]
        self._dashboard = dashboard
        self._viewer = viewer

    @classmethod
    async def opened(cls, request: Request, dashboard: Dashboard) -> EventStream:
        """For one more viewer. A HEAD request gets the headers and is none.

        Raises:
            ErlmcpError: dashboard.too-many-viewers.
        """
        if request.method == "HEAD":
            return cls(dashboard, None)
        return cls(dashboard, dashboard.viewers.admit(request.scope["state"]["transport"]))

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send what changes."""
        viewer = self._viewer
        leaving = asyncio.create_task(_leave(viewer, receive)) if viewer is not None else None
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if viewer is not None:
                viewer.show(await self._dashboard.regions())
                async for event in viewer.events():
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if viewer is not None:
                self._dashboard.viewers.leave(viewer)
            if leaving is not None:
                leaving.cancel()


async def _leave(viewer: Viewer, receive: Receive) -> None:
    """Notice that the browser has gone."""
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            viewer.end()
            return
