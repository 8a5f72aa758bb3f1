"""Servers with HTTP routes of their own."""

import asyncio

from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import StaticTokenVerifier
from mcp.server.mcpserver import MCPServer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

server = MCPServer("routes")
fast = FastMCP("fast routes")
child = FastMCP("child")
verifier = StaticTokenVerifier({"secret": {"client_id": "c", "scopes": []}})
guarded = FastMCP("guarded", auth=verifier)
cancelled = []


@server.tool()
@guarded.tool
def hello() -> str:
    return "hello from beside routes"


@server.custom_route("/healthz", methods=["GET"])
@fast.custom_route("/healthz", methods=["GET"])
async def healthz(request):
    return JSONResponse({"status": "ok", "query": request.url.query, "host": request.headers["host"]})


@server.custom_route("/notes/{name}", methods=["POST"])
async def note(request):
    return PlainTextResponse(
        f"{request.path_params['name']}: {(await request.body()).decode()}", 201, {"X-Made": "yes"}
    )


@server.custom_route("/large", methods=["GET"])
async def large(request):
    async def pieces():
        for _ in range(int(request.query_params["pieces"])):
            yield b"x" * 100

    return StreamingResponse(pieces())


@server.custom_route("/raises", methods=["GET"])
async def raises(request):
    raise RuntimeError("secret")


@server.custom_route("/teapot", methods=["GET"])
async def teapot(request):
    raise HTTPException(418, "short and stout")


@server.custom_route("/forges", methods=["GET"])
async def forges(request):
    response = Response(b"")
    response.raw_headers.append((b"x-a", b"1\r\nx-forged: 1"))
    return response


@server.custom_route("/waits", methods=["GET"])
async def waits(request):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled.append(request.url.path)
        raise


@server.custom_route("/mcp", methods=["GET", "POST"])
async def shadow(request):
    return PlainTextResponse("never served: the endpoint comes first")


@child.custom_route("/child", methods=["GET"])
async def of_child(request):
    return PlainTextResponse("from the child")


fast.mount(child)
