"""It reads sys.argv while it is imported."""

import argparse

from mcp.server.mcpserver import MCPServer

parser = argparse.ArgumentParser(prog="reads_arguments")
parser.add_argument("--name", required=True)
options = parser.parse_args()
server = MCPServer("reads arguments")


@server.tool()
def hello() -> str:
    return f"hello from {options.name}"
