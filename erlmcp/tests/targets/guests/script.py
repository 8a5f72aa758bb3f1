"""A script: its server is run where the file ends, after its arguments were read."""

import sys

from mcp.server.mcpserver import MCPServer

name = sys.argv[1] if len(sys.argv) > 1 else "a script"
mcp = MCPServer("script")


@mcp.tool()
def hello() -> str:
    return f"hello from {name}"


if __name__ == "__main__":
    mcp.run()
