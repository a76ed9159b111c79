// The official client of MCP for TypeScript, unmodified: of each server, how many tools it lists and what
// one of them answers. `node sdk.mjs MODULES SERVERS`, where the servers are JSON.
const [modules, servers] = process.argv.slice(2);
const { Client } = await import(`${modules}/@modelcontextprotocol/sdk/dist/esm/client/index.js`);
const { StdioClientTransport } = await import(`${modules}/@modelcontextprotocol/sdk/dist/esm/client/stdio.js`);

for (const { name, command, args, tool, given } of JSON.parse(servers)) {
  const client = new Client({ name: "case", version: "1" });
  await client.connect(new StdioClientTransport({ command, args }));
  const { tools } = await client.listTools();
  const answer = await client.callTool({ name: tool, arguments: given });
  console.log(JSON.stringify({ name, tools: tools.length, text: answer.content[0].text }));
  await client.close();
}
