/** Servers that do what the API does only on bad days. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { createClient } from './client.ts';
import { QarrClientError } from './errors.ts';
import type { ClientOptions } from './options.ts';

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function json(response: ServerResponse, status: number, body: object, headers = {}): void {
  response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify(body));
}

export function refuse(response: ServerResponse, status: number, code: string, headers = {}): void {
  json(response, status, { error: { message: 'No.', type: 't', param: 'p', code } }, headers);
}

export async function failureOf(call: Promise<unknown>): Promise<QarrClientError> {
  const error = await call.then(
    () => null,
    (problem: unknown) => problem,
  );
  if (error instanceof QarrClientError) return error;
  throw new Error(`Not a client error: ${String(error)}`);
}

/** A client of a server that answers the n-th request by the n-th of these, and the rest by the last. */
export async function clientOf(
  answers: readonly ((response: ServerResponse, request: IncomingMessage) => void)[],
  options: Partial<ClientOptions> = {},
) {
  const requests: IncomingMessage[] = [];
  const baseUrl = await serve((request, response) => {
    requests.push(request);
    request.resume();
    answers[Math.min(requests.length, answers.length) - 1]?.(response, request);
  });
  return { client: createClient({ baseUrl, ...options }), requests, baseUrl };
}
