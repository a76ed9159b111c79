// The official clients of MCP for TypeScript, of both versions, which answer what they are asked:
// `node asked.mjs MODULES SERVERS PACKAGE`, where the servers are JSON.
const [modules, servers, which] = process.argv.slice(2);
const second = which === "client";
const from = (path) => import(`${modules}/@modelcontextprotocol/${path}`);
const { Client } = await from(second ? "client/dist/index.mjs" : "sdk/dist/esm/client/index.js");
const { StdioClientTransport } = await from(second ? "client/dist/stdio.mjs" : "sdk/dist/esm/client/stdio.js");
const { ElicitRequestSchema } = second ? {} : await from("sdk/dist/esm/types.js");

for (const { name, command, args } of JSON.parse(servers)) {
  const options = { capabilities: { elicitation: {} }, versionNegotiation: { mode: "auto" } };
  const client = new Client({ name: "case", version: "1" }, options);
  const answer = async () => ({ action: "accept", content: { name: "tea" } });
  client.setRequestHandler(second ? "elicitation/create" : ElicitRequestSchema, answer);
  await client.connect(new StdioClientTransport({ command, args }));
  let text;
  try {
    const answer = await client.callTool({ name: "greet", arguments: { greeting: "Hello" } });
    text = answer.content[0].text;
  } catch (error) {
    text = `error: ${error.message}`;
  }
  const version = second ? client.getNegotiatedProtocolVersion() : null;
  console.log(JSON.stringify({ name, text, version }));
  await client.close();
}
