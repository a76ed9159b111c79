// The official clients of OpenAI and Anthropic for TypeScript: each way to ask, until there is no more.

import { createRequire } from "node:module";

const [packages, OPENAI, ANTHROPIC, KEY] = process.argv.slice(2);
const of = createRequire(`${packages}/`);
const OpenAI = of("openai");
const Anthropic = of("@anthropic-ai/sdk");
const ASKED = [{ role: "user", content: "hi" }];

async function say(name, ask) {
  try {
    console.log(name, await ask());
  } catch (error) {
    if (!(error instanceof OpenAI.APIError || error instanceof Anthropic.APIError)) throw error;
    const why = `${error.message} ${JSON.stringify(error.error)}`;
    const budget = why.includes("the budget of agent is used up") ? "budget" : "other";
    console.log(name, error.status ?? "broken off", budget);
  }
}

const ofOpenai = new OpenAI({ baseURL: `${OPENAI}/v1`, apiKey: KEY });
const ofAnthropic = new Anthropic({ baseURL: ANTHROPIC, apiKey: KEY });

const chat = (more) =>
  ofOpenai.chat.completions.create({ model: "small", messages: ASKED, max_tokens: 5, ...more });

async function spoken(more) {
  let words = 0;
  for await (const part of await chat({ stream: true, ...more })) {
    if (part.choices[0]?.delta.content === "word") words += 1;
  }
  return words;
}

async function claude() {
  let words = 0;
  const said = ofAnthropic.messages.stream({ model: "claude", max_tokens: 5, messages: ASKED });
  for await (const event of said) {
    if (event.type === "content_block_delta" && event.delta.text === "word") words += 1;
  }
  return words;
}

const message = async () =>
  (await ofAnthropic.messages.create({ model: "claude", max_tokens: 5, messages: ASKED })).usage.output_tokens;

const responded = (more) => ofOpenai.responses.create({ model: "small", input: "hi", ...more });

async function last(events) {
  let kind;
  for await (const event of events) kind = event.type;
  return kind;
}

async function stranger() {
  const nobody = new OpenAI({ baseURL: `${OPENAI}/v1`, apiKey: "another" });
  return (await nobody.chat.completions.create({ model: "small", messages: ASKED })).usage.total_tokens;
}

await say("stranger", stranger);
await say("chat", async () => (await chat()).usage.total_tokens);
await say("chat stream", () => spoken({ stream_options: { include_usage: true } }));
await say("chat stream without usage", () => spoken());
await say("response", async () => (await responded()).usage.total_tokens);
await say("response stream", async () => last(await responded({ stream: true })));
await say("embedding", async () => {
  const made = await ofOpenai.embeddings.create({ model: "embed", input: "hi", encoding_format: "float" });
  return made.data[0].embedding.length;
});
await say("message", message);
await say("message stream", claude);
await say("in the background", async () => (await responded({ background: true })).id);
await say("files", () => ofOpenai.files.list());
await say("without end", () => spoken({ max_tokens: 1_000_000 }));
await say("after", async () => (await chat()).usage.total_tokens);
await say("message after", message);
