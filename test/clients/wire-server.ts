/** A server that answers with bytes that were written down, and remembers what it was asked. */
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** What is sent for one request. */
export interface Wire {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  /** Instead of an end: the connection is cut. */
  readonly isCut?: boolean;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface WireServer {
  readonly baseURL: string;
  readonly seen: readonly SeenRequest[];
}

/** One wire after another; the last one again and again. It is stopped when the test ends. */
export async function serveWires(wires: readonly Wire[]): Promise<WireServer> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      seen.push({ method, path: url, headers, body });
      const wire = wires[Math.min(seen.length, wires.length) - 1];
      if (wire !== undefined) send(response, wire);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, seen };
}

function send(response: ServerResponse, { status = 200, headers, body, isCut }: Wire): void {
  response.writeHead(status, { ...headers });
  response.write(body, () => {
    if (isCut) response.socket?.resetAndDestroy();
    else response.end();
  });
}
