/**
 * Stands between workers and their engine, and notes every request: what it asked for, and from when
 * to when. While the engine is gone it takes requests, holds each for a moment and breaks it off: an
 * engine that is gone answers so fast that two probes at once would hardly ever be seen.
 */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { nowMs } from '../load/outcome.ts';

const HELD_MS = 300;

export interface SeenRequest {
  readonly path: string;
  readonly fromMs: number;
  /** Null while it is open. */
  readonly toMs: number | null;
}

export interface EngineWatch {
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  /** The engine has been killed, or is there again. */
  setGone(isGone: boolean): void;
  stop(): Promise<void>;
}

export async function startEngineWatch({
  targetPort,
}: {
  targetPort: number;
}): Promise<EngineWatch> {
  const seen: { path: string; fromMs: number; toMs: number | null }[] = [];
  let isGone = false;

  const server = createServer((incoming, response) => {
    const entry: (typeof seen)[number] = { path: incoming.url ?? '', fromMs: nowMs(), toMs: null };
    seen.push(entry);
    // With its last byte from the engine: its client may send the next one before this end closes.
    const over = () => void (entry.toMs ??= nowMs());
    response.once('close', over);
    if (!isGone) return pass(incoming, response, over);
    incoming.resume();
    setTimeout(() => response.destroy(), HELD_MS);
  });

  function pass(incoming: IncomingMessage, response: ServerResponse, over: () => void): void {
    const { method, url, headers } = incoming;
    const onward = request(
      { host: '127.0.0.1', port: targetPort, method, path: url, headers, agent: false },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        // Headers leave before the first token, as from the engine itself.
        response.flushHeaders();
        answer.on('error', () => response.destroy());
        answer.once('end', over);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    response.once('close', () => onward.destroy());
    incoming.pipe(onward);
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    setGone: (gone) => void (isGone = gone),
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
