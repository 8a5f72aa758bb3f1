// Drives a client written for node through the round: acts come as JSON on standard input, what was seen goes
// as JSON to standard output. What the two SDKs spell differently is in sdk1.mjs and sdk2.mjs.

import { readFileSync } from "node:fs";

const round = JSON.parse(readFileSync(0, "utf8"));
const { open } = await import(round.client === "sdk1" ? "./sdk1.mjs" : "./sdk2.mjs");

/** The HTTP requests of the client: method, status, session id, whether it came back for missed events. */
const wire = [];

async function recordingFetch(url, init = {}) {
  const response = await fetch(url, init);
  const headers = new Headers(init.headers);
  const session = headers.get("mcp-session-id") ?? "";
  wire.push([init.method ?? "GET", response.status, session, headers.has("last-event-id")]);
  return response;
}

/** What the server tells of its own accord, in the order it comes. */
class Heard {
  #said = [];
  #waiting = [];

  put(what) {
    const next = this.#waiting.shift();
    if (next) next(what);
    else this.#said.push(what);
  }

  next() {
    if (this.#said.length) return Promise.resolve(this.#said.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

const heard = new Heard();
const logged = [];
const { client, era } = await open({
  ...round,
  fetch: recordingFetch,
  onChanged: () => heard.put("changed"),
  onUpdated: (uri) => heard.put(uri),
  onLog: (level) => logged.push(level),
});

const resultSeen = (result) => ({
  text: result.content.find((block) => block.type === "text")?.text ?? null,
  structured: result.structuredContent ?? null,
  error: result.isError === true,
  kinds: result.content.map((block) => block.type),
});

const acts = {
  async connect() {
    const { name, version } = client.getServerVersion();
    return { server: `${name} ${version}`, instructions: client.getInstructions(), era: era() };
  },

  async list_tools() {
    const { tools } = await client.listTools();
    const names = (some) => some.map((tool) => tool.name).sort();
    return { names: names(tools), structured: names(tools.filter((tool) => tool.outputSchema)) };
  },

  call: async ({ tool, arguments: given }) => resultSeen(await client.call(tool, given)),

  async progress({ tool }) {
    const steps = [];
    const onprogress = ({ progress, total }) => steps.push([progress, total ?? 0]);
    const result = await client.call(tool, {}, { onprogress });
    return { ...resultSeen(result), heard: steps };
  },

  async cancel({ tool, arguments: given }) {
    const steps = [];
    const abort = new AbortController();
    const onprogress = ({ progress, total }) => {
      steps.push([progress, total ?? 0]);
      abort.abort("enough");
    };
    const call = client.call(tool, given, { onprogress, signal: abort.signal });
    const ended = await call.then(
      () => "answered",
      () => "cancelled",
    );
    if (ended !== "cancelled") throw new Error("a cancelled call was answered");
    return { heard: steps };
  },

  async log({ tool, level, below }) {
    const meta = await client.wantLogs(level);
    for (;;) {
      // another worker than the one that was told hears of the level a moment later
      logged.length = 0;
      await client.call(tool, {}, {}, meta);
      if (logged.length && !logged.some((each) => below.includes(each))) return [...logged];
    }
  },

  async tools_changed({ tool, arguments: given }) {
    const end = await client.listenTo({ toolsListChanged: true });
    await client.call(tool, given);
    const said = await heard.next();
    await end();
    return said;
  },

  async watch({ uri, tool, arguments: given }) {
    const end = await client.watch(uri);
    await client.call(tool, given);
    const said = await heard.next();
    await end();
    return said;
  },

  list_resources: async () => (await client.listResources()).resources.map((each) => each.uri).sort(),

  list_templates: async () =>
    (await client.listResourceTemplates()).resourceTemplates.map((each) => each.uriTemplate).sort(),

  async read({ uri }) {
    const { contents } = await client.readResource({ uri });
    if (contents.length !== 1) throw new Error(`${contents.length} contents`);
    return [contents[0].mimeType, contents[0].text ?? contents[0].blob];
  },

  list_prompts: async () =>
    (await client.listPrompts()).prompts.map((prompt) => [
      prompt.name,
      (prompt.arguments ?? []).map((argument) => argument.name),
    ]),

  get_prompt: async (given) =>
    (await client.getPrompt(given)).messages.map((message) => [message.role, message.content.text]),

  complete: async (given) => (await client.complete(given)).completion.values,

  async ping() {
    await client.ping();
    return "pong";
  },
};

const seen = {};
for (const act of round.acts) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${act.name} took longer than ${round.limit_s} s`)), round.limit_s * 1000);
  });
  try {
    seen[act.name] = await Promise.race([acts[act.kind](act.arguments), late]);
  } catch (fault) {
    // An answer that is a protocol error is seen as its code; anything else is not what a client should meet.
    if (Number.isInteger(fault.code)) seen[act.name] = { refused: fault.code };
    else seen[act.name] = { fault: String(fault) };
  } finally {
    clearTimeout(timer);
  }
}
await client.leave();
process.stdout.write(JSON.stringify({ seen, wire }), () => process.exit(0));
