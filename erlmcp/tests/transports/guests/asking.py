"""A tool that asks the person in the modern way: the call is made again with the answer."""

from typing import Annotated

from mcp.server.mcpserver import Elicit, MCPServer, Resolve
from pydantic import BaseModel


class Answer(BaseModel):
    name: str


async def who() -> Elicit[Answer]:
    return Elicit("Who are you?", Answer)


def make() -> MCPServer:
    server = MCPServer("asking")

    @server.tool()
    async def ask_name(answer: Annotated[Answer, Resolve(who)]) -> str:
        """Ask the person at the client."""
        return answer.name

    @server.tool()
    async def greet(greeting: str, answer: Annotated[Answer, Resolve(who)]) -> str:
        """Greet the person at the client."""
        return f"{greeting} {answer.name}"

    return server


server = make()
