/** Runs a peer's own process, on loopback, and waits until it listens. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stopChild } from '../../child.ts';
import type { RunningPath } from '../path.ts';

const START_MS = 60_000;
const ASK_EVERY_MS = 50;

export interface PeerCommand {
  /** Null: Node itself. */
  readonly file: string | null;
  readonly args: (port: number) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export async function runPeer({
  file,
  args,
  env = {},
  folder,
  headers,
  signal,
}: PeerCommand): Promise<RunningPath> {
  const port = await freePort();
  const child = spawn(file ?? process.execPath, args(port), {
    cwd: folder,
    env: { PATH: '/usr/bin:/bin', NODE_ENV: 'production', HOME: folder, ...env },
    stdio: 'ignore',
  });
  const { pid } = child;
  try {
    const untilMs = performance.now() + START_MS;
    while (!(await listens(port))) {
      signal.throwIfAborted();
      if (child.exitCode !== null) throw new Error(`it has ended with ${child.exitCode}`);
      if (performance.now() > untilMs) throw new Error('it does not listen');
      await sleep(ASK_EVERY_MS);
    }
    if (pid === undefined) throw new Error('it has no process');
  } catch (error) {
    await stopChild(child);
    throw error;
  }
  return {
    urls: [`http://127.0.0.1:${port}/v1/chat/completions`],
    headers,
    processes: [{ role: 'gateway', pid }],
    stop: () => stopChild(child),
  };
}

/** The path of a module beside this one that Node loads before the peer. */
export function preload(name: string): readonly string[] {
  return ['--import', fileURLToPath(new URL(name, import.meta.url))];
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function listens(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, '127.0.0.1', () => resolve(true));
  socket.on('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
