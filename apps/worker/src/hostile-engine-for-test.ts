/** For tests: an engine that answers on the wire exactly as it is told to. */
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

export interface HostileEngine {
  readonly url: string;
  readonly requests: readonly { path: string; headers: IncomingHttpHeaders; body: string }[];
  /** Connections since the start, and those that are open now. */
  readonly connections: number;
  readonly openConnections: number;
  /** Nobody listens any more; connections are cut. */
  stop(): Promise<void>;
}

/** Calls `answer` when a request has arrived as a whole. It is stopped when the test ends. */
export async function startHostileEngine(
  answer: (exchange: {
    request: IncomingMessage;
    response: ServerResponse;
    body: string;
  }) => unknown,
  { port = 0 }: { port?: number } = {},
): Promise<HostileEngine> {
  const requests: { path: string; headers: IncomingHttpHeaders; body: string }[] = [];
  let connections = 0;
  let openConnections = 0;
  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body: string;
    try {
      body = await text(request);
    } catch {
      // The client went away before its request was complete.
      return;
    }
    requests.push({ path: request.url ?? '', headers: request.headers, body });
    answer({ request, response, body });
  }
  const server = createServer((request, response) => {
    void receive(request, response);
  });
  server.on('connection', (socket) => {
    connections += 1;
    openConnections += 1;
    socket.on('error', () => {});
    socket.once('close', () => {
      openConnections -= 1;
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));

  async function stop(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }
  onTestFinished(stop);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get connections() {
      return connections;
    },
    get openConnections() {
      return openConnections;
    },
    stop,
  };
}

/** One server-sent event of a stream of chat chunks. */
export function event(data: unknown): string {
  return `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
}

export function delta(fields: Record<string, unknown>, finishReason: string | null = null): string {
  return event({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: fields, logprobs: null, finish_reason: finishReason }],
  });
}

export const DONE = event('[DONE]');
