// The same with the second version of that client, which also speaks the protocol without a session where
// a server does.
const [modules, servers] = process.argv.slice(2);
const { Client } = await import(`${modules}/@modelcontextprotocol/client/dist/index.mjs`);
const { StdioClientTransport } = await import(`${modules}/@modelcontextprotocol/client/dist/stdio.mjs`);

for (const { name, command, args, tool, given } of JSON.parse(servers)) {
  const client = new Client({ name: "case", version: "1" }, { versionNegotiation: { mode: "auto" } });
  await client.connect(new StdioClientTransport({ command, args }));
  const { tools } = await client.listTools();
  const answer = await client.callTool({ name: tool, arguments: given });
  const version = client.getNegotiatedProtocolVersion();
  console.log(JSON.stringify({ name, tools: tools.length, text: answer.content[0].text, version }));
  await client.close();
}
