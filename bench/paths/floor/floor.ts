/**
 * The least that a queue on BullMQ can cost: an API that adds a job, a worker that runs it, and its
 * bytes back by pub/sub, where all of one turn of the worker's event loop are one message for each API
 * process. No log, fence, limit, metric or key; with a log, each job's bytes of a turn become one entry
 * of a stream before they are published. It shares no code with the product.
 */
import { startChild, stopChild } from '../../child.ts';
import type { Path, PathProcess } from '../path.ts';

export const floor = createFloor({ name: 'floor', withLog: false });
export const floorLog = createFloor({ name: 'floor-log', withLog: true });

function createFloor({ name, withLog }: { name: string; withLog: boolean }): Path {
  return {
    name,
    hasRedis: true,
    async start({ upstreamUrl, redisUrl, shape }) {
      const log = withLog ? 'log' : 'no log';
      const started = await Promise.all([
        ...times(shape.apis, (at) => start('api', [redisUrl, `floor-api-${at}`])),
        ...times(shape.workers, () => start('worker', [redisUrl, upstreamUrl, log])),
      ]);
      return {
        urls: started
          .filter(({ role }) => role === 'api')
          .map(({ ready }) => `http://127.0.0.1:${String(ready)}/v1/chat/completions`),
        headers: {},
        processes: started.map(({ role, pid }): PathProcess => ({ role, pid })),
        async stop() {
          await Promise.all(started.map(({ child }) => stopChild(child)));
        },
      };
    },
  };
}

async function start(role: 'api' | 'worker', args: readonly string[]) {
  return { role, ...(await startChild(new URL(`${role}.ts`, import.meta.url), { args })) };
}

function times<Made>(length: number, make: (at: number) => Made): Made[] {
  return Array.from({ length }, (_, at) => make(at));
}
