import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';

/** Asks for `Authorization: Bearer <key>` on /v1 and nowhere else, as vLLM's --api-key does. */
export function requireApiKey(app: FastifyInstance, apiKey: string): void {
  const expected = digest(`Bearer ${apiKey}`);
  app.addHook('onRequest', (request, reply, done) => {
    const given = digest(request.headers.authorization ?? '');
    if (request.url.startsWith('/v1') && !timingSafeEqual(given, expected)) {
      void reply.status(401).send({ error: 'Unauthorized' });
      return;
    }
    done();
  });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
