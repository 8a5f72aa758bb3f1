"""Prompts: one that works, one that fails by itself."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("prompting")


@server.prompt()
def greet(name: str, mood: str = "kind") -> str:
    """Greet somebody."""
    return f"Say something {mood} to {name}."


@server.prompt()
def fail() -> str:
    """Raise what no client should read."""
    raise RuntimeError("the password is swordfish")
