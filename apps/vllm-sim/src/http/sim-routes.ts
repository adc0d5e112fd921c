import type { Server } from 'node:http';
import { promisify } from 'node:util';
import type { FastifyInstance } from 'fastify';
import type { Engine } from '../engine/engine.ts';
import { FieldProblem } from '../faults/fault-params.ts';
import type { Faults } from '../faults/faults.ts';
import { readRule } from '../faults/read-rule.ts';
import { RULES_MAX } from '../faults/rule-book.ts';
import type { RequestLog } from './request-log.ts';

/** The simulator's own surface, under /_sim: nothing here exists in vLLM. */
export function addSimRoutes(
  app: FastifyInstance,
  deps: { engine: Engine; requestLog: RequestLog; faults: Faults },
): void {
  const { faults } = deps;

  app.get('/_sim/state', async () => {
    const { received, abortedByClient, recent } = deps.requestLog.read();
    return {
      received,
      ...deps.engine.counts(),
      aborted_by_client: abortedByClient,
      connections: await countConnections(app.server),
      faults: faults.injected(),
      recent: recent.map(({ path, fields, requestId, traceparent, fault, ended }) => ({
        path,
        fields,
        request_id: requestId,
        traceparent,
        fault,
        ended,
      })),
    };
  });

  app.get('/_sim/faults', () => ({ injected: faults.injected(), rules: faults.rules() }));

  app.delete('/_sim/faults', () => {
    faults.clear();
    return { injected: faults.injected(), rules: faults.rules() };
  });

  app.post('/_sim/faults', (request, reply) => {
    try {
      const added = faults.add(readRule(request.body));
      if (added === 'full') {
        return reply.status(409).send(problem(`there are ${RULES_MAX} rules already`, null));
      }
      if (added.kind === 'rule') return reply.status(201).send(added);
      // The reply leaves first: the fault may close its connection.
      reply.raw.once('close', added.run);
      return reply.status(202).send({ kind: added.kind, fault: added.fault });
    } catch (error) {
      if (!(error instanceof FieldProblem)) throw error;
      return reply.status(400).send(problem(error.message, error.field));
    }
  });
}

function problem(message: string, field: string | null): object {
  return { error: { message, field } };
}

/** Connections that are open, with the one that asks. */
async function countConnections(server: Server): Promise<number> {
  return promisify(server.getConnections.bind(server))();
}
