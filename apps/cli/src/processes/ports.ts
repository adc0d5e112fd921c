/** Looks whether a port is free, before anything is started. */
import { createServer, connect } from 'node:net';
import { CliError } from '../cli-error.ts';

/** On this machine an answer takes far less; on a host that drops packets there is none. */
const CONNECT_TIMEOUT_MS = 500;
const HOST_OF = { PORT: 'HOST', OPS_PORT: 'OPS_HOST' } as const;

/**
 * Throws a CliError that says which variable to set when the address cannot be used.
 *
 * Binding alone does not tell: some systems let 127.0.0.1 be bound while another process holds
 * 0.0.0.0, and clients would then reach either. So it is also tried to connect.
 */
export async function requireFreePort({
  host,
  port,
  variable,
}: {
  host: string;
  port: number;
  variable: 'PORT' | 'OPS_PORT';
}): Promise<void> {
  const taken = `port ${port} is taken; set ${variable} to another one, or stop what listens there`;
  if (await somebodyListens({ host: reachableHost(host), port })) throw new CliError(taken);
  const code = await tryToBind({ host, port });
  switch (code) {
    case null:
      return;
    case 'EADDRINUSE':
      throw new CliError(taken);
    case 'EACCES':
      throw new CliError(`port ${port} needs special rights; set ${variable} to 1024 or more`);
    default:
      throw new CliError(
        `${HOST_OF[variable]} ${host} is not an address of this machine (${code})`,
      );
  }
}

export async function isPortFree(address: { host: string; port: number }): Promise<boolean> {
  const reachable = { ...address, host: reachableHost(address.host) };
  return !(await somebodyListens(reachable)) && (await tryToBind(address)) === null;
}

/** A port that nobody uses at this moment. */
export function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port: 0 }, () => {
      const address = server.address();
      const port = typeof address === 'object' ? address?.port : undefined;
      server.close(() => (port === undefined ? reject(new Error('no port')) : resolve(port)));
    });
  });
}

export function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Where a client on this machine reaches a server that listens on `host`. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

function somebodyListens(address: { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...address, timeout: CONNECT_TIMEOUT_MS });
    const end = (isListening: boolean) => {
      socket.destroy();
      resolve(isListening);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

/** The error's code, or null when the address could be bound. */
function tryToBind(address: { host: string; port: number }): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(address, () => server.close(() => resolve(null)));
  });
}
