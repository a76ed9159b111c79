"""A server by the official package for Python, one tool of which asks the person at its client."""

from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel


class Who(BaseModel):
    name: str


async def ask():
    return Elicit("Who are you?", Who)


server = MCPServer("asks")


@server.tool()
async def greet(greeting: str, who: Annotated[Who, Resolve(ask)]) -> str:
    """Greets whoever asks."""
    return f"{greeting}, {who.name}"


server.run()
