"""The official client of MCP for Python, unmodified; as sdk.mjs. `client.py SERVERS`."""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main():
    for server in json.loads(sys.argv[1]):
        parameters = StdioServerParameters(command=server["command"], args=server["args"])
        async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            answer = await session.call_tool(server["tool"], server["given"])
            told = {"name": server["name"], "tools": len(tools), "text": answer.content[0].text}
            print(json.dumps(told), flush=True)


asyncio.run(main())
