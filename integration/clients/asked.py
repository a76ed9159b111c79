"""The official client of MCP for Python, unmodified, which answers what it is asked; as asked.mjs.
`asked.py SERVERS`."""

import asyncio
import json
import sys

from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client
from mcp_types import ElicitResult


async def answer(context, params):
    return ElicitResult(action="accept", content={"name": "tea"})


async def main():
    for server in json.loads(sys.argv[1]):
        transport = stdio_client(StdioServerParameters(command=server["command"], args=server["args"]))
        async with Client(transport, elicitation_callback=answer) as client:
            try:
                said = (await client.call_tool("greet", {"greeting": "Hello"})).content[0].text
            except Exception as error:
                said = f"error: {error}"
            version = client.protocol_version
        print(json.dumps({"name": server["name"], "text": said, "version": version}), flush=True)


asyncio.run(main())
