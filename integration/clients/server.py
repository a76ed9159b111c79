"""A server by the official package for Python."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("sums")


@server.tool()
def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


server.run()
