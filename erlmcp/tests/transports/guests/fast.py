"""A FastMCP guest."""

from fastmcp import Context, FastMCP

server = FastMCP("fast", version="4.4")


@server.tool
async def greet(name: str) -> str:
    """Greet."""
    return f"hello {name}"


@server.tool
async def which_transport(ctx: Context) -> str:
    """What FastMCP takes the transport for."""
    return str(ctx.transport)


@server.tool
async def hide(name: str, ctx: Context) -> str:
    """Hide a tool from this client."""
    await ctx.disable_components(names={name})
    return "hidden"


@server.tool
async def slow_steps(ctx: Context) -> str:
    """Report progress."""
    await ctx.report_progress(1, 2)
    return "done"
