import type { FastifyInstance } from 'fastify';
import type { Engine } from '../engine/engine.ts';
import type { RequestLog } from './request-log.ts';

/** The simulator's own surface, under /_sim: nothing here exists in vLLM. */
export function addSimRoutes(
  app: FastifyInstance,
  deps: { engine: Engine; requestLog: RequestLog },
): void {
  app.get('/_sim/state', () => {
    const { received, abortedByClient, recent } = deps.requestLog.read();
    return {
      received,
      ...deps.engine.counts(),
      aborted_by_client: abortedByClient,
      recent,
    };
  });
}
