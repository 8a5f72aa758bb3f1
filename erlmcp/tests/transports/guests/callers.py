"""Tools that tell who calls them, in every way in which a tool can run."""

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_access_token as fast_access_token
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("callers")
fast = FastMCP("fast-callers")


def _told() -> str:
    token = get_access_token()
    return "nobody" if token is None else f"{token.client_id} {' '.join(token.scopes)}"


@server.tool()
async def at_once() -> str:
    """Runs in the turn of its request."""
    return _told()


@server.tool()
def in_a_thread() -> str:
    """Runs in a thread."""
    return _told()


@server.tool()
async def with_context(ctx: Context) -> str:
    """Looks at its request."""
    assert ctx.request_context is not None
    return _told()


@server.resource("callers://me")
def me() -> str:
    """A resource: it goes through the kernel."""
    return _told()


@fast.tool
async def fast_caller() -> str:
    """As FastMCP tells it."""
    token = fast_access_token()
    return "nobody" if token is None else f"{token.client_id} {' '.join(token.scopes)}"


@fast.tool
async def remember(word: str) -> str:
    """Keep a word in the state of this client."""
    from fastmcp.server.dependencies import get_context

    await get_context().set_state("word", word)
    return "kept"


@fast.tool
async def recall() -> str:
    """The word that this client has kept."""
    from fastmcp.server.dependencies import get_context

    return str(await get_context().get_state("word"))
