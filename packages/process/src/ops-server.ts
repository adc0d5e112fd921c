/** The port for operators: metrics and liveness, apart from the port for users. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { ConfigurationError } from './configuration.ts';

export interface OpsServer {
  readonly port: number;
  stop(): Promise<void>;
}

export async function startOpsServer({
  host,
  port,
  registry,
  isReady = () => true,
}: {
  host: string;
  port: number;
  registry: Registry;
  /** Whether the process does its work now, not only lives. */
  isReady?: () => boolean;
}): Promise<OpsServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?', 1)[0];
    if (path === '/metrics') {
      registry.metrics().then(
        (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    } else if (path === '/healthz') {
      response.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n');
    } else if (path === '/readyz') {
      const [status, text] = isReady() ? [200, 'ready\n'] : [503, 'not ready\n'];
      response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
    } else {
      const text = '/metrics, /healthz or /readyz\n';
      response.writeHead(404, { 'content-type': 'text/plain' }).end(text);
    }
  });
  const listening = Promise.withResolvers<void>();
  server.once('error', listening.reject);
  server.listen(port, host, listening.resolve);
  try {
    await listening.promise;
  } catch (error) {
    throw portProblem(error, { variable: 'OPS_PORT', host, port });
  }
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Turns a failure to listen into a line that says which variable to change. */
export function portProblem(
  error: unknown,
  { variable, host, port }: { variable: string; host: string; port: number },
): Error {
  if (!(error instanceof Error) || !('code' in error)) return error as Error;
  if (error.code === 'EADDRINUSE') {
    return new ConfigurationError(`${variable}: port ${port} is taken; set another, or 0 for any`);
  }
  if (typeof error.code === 'string' && CANNOT_LISTEN.has(error.code)) {
    return new ConfigurationError(`${variable}: cannot listen on ${host}:${port} (${error.code})`);
  }
  return error;
}

const CANNOT_LISTEN: ReadonlySet<string> = new Set([
  'EACCES',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
