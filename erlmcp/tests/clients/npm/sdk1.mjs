// The first TypeScript SDK: the handshake era, over every transport it knows.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { WebSocketClientTransport } from "@modelcontextprotocol/sdk/client/websocket.js";
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

const transports = {
  http: ({ url, fetch }) => new StreamableHTTPClientTransport(new URL(url), { fetch }),
  sse: ({ url }) => new SSEClientTransport(new URL(url)),
  websocket: ({ url }) => new WebSocketClientTransport(new URL(url)),
  stdio: ({ command }) => new StdioClientTransport({ command: command[0], args: command.slice(1) }),
};

export async function open(round) {
  const capabilities = { sampling: {}, elicitation: {}, roots: {} };
  const client = new Client({ name: "round-sdk1", version: "1" }, { capabilities });
  const { answers } = round;
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: { name: answers.name } }));
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    role: "assistant",
    model: "none",
    content: { type: "text", text: answers.said },
  }));
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: answers.root }] }));
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => round.onLog(params.level));
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => round.onChanged());
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => round.onUpdated(params.uri));
  const transport = transports[round.transport](round);
  await client.connect(transport);

  client.call = (name, given, options) =>
    client.callTool({ name, arguments: given }, CallToolResultSchema, options);
  client.wantLogs = async (level) => void (await client.setLoggingLevel(level));
  client.listenTo = async () => async () => {}; // changes come unasked in this era
  client.watch = async (uri) => {
    await client.subscribeResource({ uri });
    return () => client.unsubscribeResource({ uri });
  };
  client.leave = async () => {
    if (round.transport === "http") await transport.terminateSession();
    await client.close();
  };
  return { client, era: () => "handshake" };
}
