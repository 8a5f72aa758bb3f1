"""Objects that hold a server: made by hand, by a class, and one that holds two."""

from mcp.server.mcpserver import MCPServer


def _server(name):
    made = MCPServer(name)

    @made.tool()
    def hello() -> str:
        return f"hello from {name}"

    return made


class Application:
    """A class of its own around the server, as larger servers have."""

    def __init__(self, name="a holder"):
        self.mcp = _server(name)


class Both:
    def __init__(self):
        self.server = _server("one")
        self.app = _server("two")


application = Application()
both = Both()
