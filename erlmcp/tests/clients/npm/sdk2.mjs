// The second TypeScript SDK: both eras, over every transport it knows.

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const transports = {
  http: ({ url, fetch }) => new StreamableHTTPClientTransport(new URL(url), { fetch }),
  sse: ({ url }) => new SSEClientTransport(new URL(url)),
  stdio: ({ command }) => new StdioClientTransport({ command: command[0], args: command.slice(1) }),
};

export async function open(round) {
  const capabilities = { sampling: {}, elicitation: {}, roots: {} };
  const modern = round.era === "modern";
  const versionNegotiation = { mode: modern ? "auto" : "legacy" };
  const client = new Client({ name: "round-sdk2", version: "1" }, { capabilities, versionNegotiation });
  const { answers } = round;
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { name: answers.name } }));
  client.setRequestHandler("sampling/createMessage", () => ({
    role: "assistant",
    model: "none",
    content: { type: "text", text: answers.said },
  }));
  client.setRequestHandler("roots/list", () => ({ roots: [{ uri: answers.root }] }));
  client.setNotificationHandler("notifications/message", ({ params }) => round.onLog(params.level));
  client.setNotificationHandler("notifications/tools/list_changed", () => round.onChanged());
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => round.onUpdated(params.uri));
  const transport = transports[round.transport](round);
  await client.connect(transport);

  client.call = (name, given, options, meta) =>
    client.callTool({ name, arguments: given, ...(meta ? { _meta: meta } : {}) }, options);
  client.wantLogs = async (level) => {
    if (modern) return { "io.modelcontextprotocol/logLevel": level };
    await client.setLoggingLevel(level);
  };
  client.listenTo = async (filter) => {
    if (!modern) return async () => {}; // changes come unasked
    const subscription = await client.listen(filter);
    return () => subscription.close();
  };
  client.watch = async (uri) => {
    if (modern) return client.listenTo({ resourceSubscriptions: [uri] });
    await client.subscribeResource({ uri });
    return () => client.unsubscribeResource({ uri });
  };
  client.leave = async () => {
    if (round.transport === "http" && !modern) await transport.terminateSession();
    await client.close();
  };
  return { client, era: () => (client.getProtocolEra() === "modern" ? "modern" : "handshake") };
}
