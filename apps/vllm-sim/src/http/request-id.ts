import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Persona } from '../personas.ts';

const HEADER = 'x-request-id';

/** The id of a request: the header X-Request-Id where it counts, then the body's field, then a random one. */
export function requestIdOf(
  request: FastifyRequest,
  options: { persona: Persona; field: string | undefined },
): string {
  const header = request.headers[HEADER];
  const named = options.persona.requestId.fromHeader && typeof header === 'string' && header !== '';
  return named ? header : (options.field ?? randomId());
}

/** Sends the request's id, or a new one, with every response: `--enable-request-id-headers`. */
export function returnRequestIds(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    const id = request.headers[HEADER] ?? randomId();
    request.headers[HEADER] = id;
    // On the raw response: streams do not pass through the reply.
    reply.raw.setHeader('X-Request-Id', id);
    done();
  });
}

function randomId(): string {
  return randomUUID().replaceAll('-', '');
}
