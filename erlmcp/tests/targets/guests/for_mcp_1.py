"""Written for mcp 1."""

from mcp.server.fastmcp import FastMCP

mcp = FastMCP("old")
