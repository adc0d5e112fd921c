import type { FastifyInstance, FastifyRequest } from 'fastify';
import { GENERATE_PATHS } from '../http/generate-paths.ts';
import { faultBeforeHeaders } from './before-headers.ts';
import { FieldProblem } from './fault-params.ts';
import { isOfFamily } from './fault-table.ts';
import type { Chosen, Faults } from './faults.ts';
import type { RequestTraits } from './rule-book.ts';

/**
 * Chooses each request's fault once its body has been read, and does those that come before the
 * headers. A request that the server refuses earlier, for its key or its JSON, has none.
 */
export function injectFaults(app: FastifyInstance, faults: Faults): void {
  app.addHook('preHandler', async (request, reply) => {
    const traits = traitsOf(request);
    if (traits.path.startsWith('/_sim/')) return undefined;
    let chosen: Chosen | undefined;
    try {
      chosen = faults.choose(traits, reply.raw);
    } catch (error) {
      if (!(error instanceof FieldProblem)) throw error;
      const { message, field } = error;
      return reply.status(400).send({ error: { message, field } });
    }
    if (chosen === undefined || !isOfFamily(chosen.fault, 'before')) return undefined;
    const outcome = await faultBeforeHeaders(reply, chosen.fault, chosen.injection);
    return outcome === 'answered' ? reply : undefined;
  });
}

function traitsOf(request: FastifyRequest): RequestTraits {
  const path = request.routeOptions.url ?? '';
  const body: object =
    typeof request.body === 'object' && request.body !== null ? request.body : {};
  return {
    path,
    model: 'model' in body && typeof body.model === 'string' ? body.model : undefined,
    headers: request.headers,
    streams: GENERATE_PATHS.includes(path) && 'stream' in body && body.stream === true,
  };
}
