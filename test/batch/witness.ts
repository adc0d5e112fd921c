/**
 * Stands between workers and an engine, and notes each run of a job: the engine itself remembers only
 * the last hundred. By the id that a worker gives each of its requests, which is the job's and the
 * number of the attempt.
 */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRun {
  readonly fromMs: number;
  /** When its last byte had left; null while it is open. */
  toMs: number | null;
}

export interface Witness {
  readonly url: string;
  stop(): Promise<void>;
}

export type SeenRuns = Map<string, SeenRun[]>;

export async function startWitness({
  targetUrl,
  runs,
}: {
  targetUrl: string;
  /** By job: what all witnesses of a world have seen. */
  runs: SeenRuns;
}): Promise<Witness> {
  const target = new URL(targetUrl);

  const server = createServer((incoming, response) => {
    const run = note(incoming);
    const over = () => void (run !== null && (run.toMs ??= performance.now()));
    response.once('close', over);
    const { method, url: path, headers } = incoming;
    const onward = request(
      // A connection of its own: one that is used again may just be closed by the engine, which would
      // look to the worker like an engine that fails.
      { host: target.hostname, port: target.port, method, path, headers, agent: false },
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
    endsWith(response, onward);
    incoming.pipe(onward);
  });

  function note({ headers }: IncomingMessage): SeenRun | null {
    const [, jobId] = /^(job_\w+)-\d+$/.exec(String(headers['x-request-id'])) ?? [];
    if (jobId === undefined) return null;
    const run = { fromMs: performance.now(), toMs: null };
    runs.set(jobId, [...(runs.get(jobId) ?? []), run]);
    return run;
  }

  // For the same reason it closes none by itself.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A worker that is gone in the middle has an engine that is told so. */
function endsWith(response: ServerResponse, onward: { destroy(): unknown }): void {
  response.once('close', () => {
    if (!response.writableFinished) onward.destroy();
  });
}
