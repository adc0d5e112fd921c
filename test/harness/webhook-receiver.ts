/** Somebody who receives webhooks: a real server that remembers what came, and answers as it is told. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './certificate.ts';
import { waitUntil } from './wait-until.ts';

export interface ReceivedWebhook {
  readonly headers: Readonly<Record<string, string>>;
  /** The bytes as they came. */
  readonly raw: string;
  readonly body: { id: string; type: string; data: { id: string; status: string } };
  readonly atMs: number;
}

/** Answers, or does not. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export interface WebhookReceiver {
  readonly url: string;
  readonly port: number;
  readonly received: readonly ReceivedWebhook[];
  readonly connections: number;
  /** From now on; by default 204. */
  answer: Answer;
  /** Waits for so many webhooks of this job. */
  of(jobId: string, count?: number): Promise<ReceivedWebhook[]>;
  stop(): Promise<void>;
}

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(code, headers).end();

export async function startWebhookReceiver({
  tls,
  host = '127.0.0.1',
  port = 0,
}: { tls?: Certificate; host?: string; port?: number } = {}): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = [];
  let connections = 0;
  const onRequest = async (request: IncomingMessage, response: ServerResponse) => {
    let raw = '';
    for await (const chunk of request.setEncoding('utf8')) raw += chunk;
    const headers = request.headers as Record<string, string>;
    received.push({ headers, raw, body: JSON.parse(raw), atMs: performance.now() });
    receiver.answer(response, request);
  };
  // A delivery that is cut off is nothing to complain of.
  const listener = (request: IncomingMessage, response: ServerResponse) =>
    void onRequest(request, response).catch(() => response.destroy());
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.on('connection', () => (connections += 1));
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const address = server.address() as AddressInfo;
  const name = tls === undefined ? host : 'localhost';

  const receiver: WebhookReceiver = {
    url: `${tls === undefined ? 'http' : 'https'}://${name}:${address.port}/hook`,
    port: address.port,
    received,
    get connections() {
      return connections;
    },
    answer: status(204),
    of: (jobId, count = 1) =>
      waitUntil(`${count} webhooks of the job`, () => {
        const found = received.filter(({ body }) => body.data.id === jobId);
        return found.length >= count ? found : null;
      }),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return receiver;
}
