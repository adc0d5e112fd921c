/**
 * Serves the pages of `test/browser/pages` with the client as it is published, and passes what they
 * ask the API on to it, as the server of an application does.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, request as sendRequest } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '../..');
const PARSER = path.join(ROOT, 'packages/client/node_modules/eventsource-parser/dist');
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
};

export interface PageServer {
  readonly url: string;
  /** Breaks what is on its way from the API. Returns how many answers that were. */
  cut(): number;
  stop(): Promise<void>;
}

/** @param clientFolder where the client was built */
export async function startPageServer({
  apiUrl,
  clientFolder,
}: {
  apiUrl: () => string;
  clientFolder: string;
}): Promise<PageServer> {
  const folders: Readonly<Record<string, string>> = {
    pages: path.join(ROOT, 'test/browser/pages'),
    client: clientFolder,
    parser: PARSER,
  };
  const passing = new Set<ServerResponse>();

  const server = createServer((request, response) => {
    if (request.url?.startsWith('/v1/') === true) pass(request, response);
    else void serveFile(request.url ?? '', response);
  });

  function pass(request: IncomingMessage, response: ServerResponse): void {
    passing.add(response);
    const { method, headers } = request;
    const passed = sendRequest(`${apiUrl()}${request.url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on('error', () => response.destroy());
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    response.on('close', () => {
      passing.delete(response);
      passed.destroy();
    });
    request.pipe(passed);
  }

  async function serveFile(url: string, response: ServerResponse): Promise<void> {
    const [, folder = '', name = ''] = /^\/(\w+)\/([\w.-]+)(?:\?|$)/.exec(url) ?? [];
    const content = await readFile(path.join(folders[folder] ?? '', name)).catch(() => null);
    if (content === null || folders[folder] === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': TYPES[path.extname(name)] }).end(content);
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      const { size } = passing;
      for (const response of passing) response.destroy();
      return size;
    },
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
